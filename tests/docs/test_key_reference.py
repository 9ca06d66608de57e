"""The generated reference of all keys, `docs/reference/keys.md`."""

import importlib.util
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from bisum.config.hydra_keys import SETTABLE
from bisum.config.plain import PLAIN_SCHEMAS
from bisum.config.schema import SCHEMAS
from bisum.interfaces.defaults import conf_directory

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "keys.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("make_keys", REFERENCE / "make_keys.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses resolve annotations there
    spec.loader.exec_module(module)
    return module


def test_page_matches_the_generator(generator):
    if generator.Reference().text() != PAGE:
        pytest.fail("docs/reference/keys.md is out of date; run `make reference`")


@pytest.mark.parametrize("command", [*SCHEMAS, *PLAIN_SCHEMAS])
def test_page_has_every_key_of_a_command(command):
    names = {field.name for field in fields(SCHEMAS.get(command) or PLAIN_SCHEMAS[command])} - {"provenance"}
    assert [name for name in names if not re.search(rf"^(\| `{name}[`.]|##+ {name}$)", PAGE, re.M)] == []


def test_page_has_every_option_and_key_of_hydra():
    files = [file.relative_to(conf_directory()) for file in conf_directory().glob("*/**/*.yaml")]
    options = {(file.parent.as_posix(), file.stem) for file in files if not file.stem.startswith("_")}
    assert options - set(re.findall(r"^### (\S+)=\[?(\w+)\]?$", PAGE, re.M)) == set()
    assert [name for name in SETTABLE if f"| `{name}` |" not in PAGE] == []


def test_every_row_has_the_cells_of_its_table():
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_markup_in_a_description_is_escaped(generator):
    row = generator.markdown_table([("key", "a|b", "one of a | b", "~ or `<x>` | <extra_id_0> * 3")])
    assert row.endswith(r"| `key` | `a\|b` | one of a \| b | \~ or `<x>` \| \<extra_id_0> \* 3 |")
