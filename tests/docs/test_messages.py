"""What the pages quote of bisum: messages that it prints, and keys that exist."""

import ast
import re
from functools import cache

import pytest
from pages import PAGES, ROOT, blocks_of, prose_of

from bisum.config.identity import free_keys

SYMPTOMS = re.findall(r"^\| (`[^|]*) \|", (ROOT / "docs/how-to/troubleshooting.md").read_text("utf-8"), re.MULTILINE)
SETTING = re.compile(r"(?<![\w./\-${])\+{0,2}([a-z_]+(?:\.[A-Za-z_][\w]*)+)=")
OPEN_NODES = ("trainer.arguments.", "corpus.configurations.", "hydra.callbacks.", "hydra.sweeper.params.", "corpus.of.")
"""Nodes whose keys the user chooses, or that another option of a group describes."""


@cache
def messages() -> str:
    """Return every text in bisum's code, one per line; a tab stands for a value."""
    texts = []
    for file in (ROOT / "bisum").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\t" for part in node.values)
                )
    return "\n".join(texts)


@pytest.mark.parametrize("symptom", [text for cell in SYMPTOMS for text in re.findall("`([^`]+)`", cell)])
def test_quoted_message_is_printed_by_bisum(symptom):
    parts = re.split(r"\.\.\.|'[^']*'|\b\d+%?|\b[A-Z_]{6,}\b", symptom)
    for part in (part.strip(" ,=*") for part in parts):
        if " " in part:
            assert part in messages(), f"no message contains '{part}'"


def test_keys_that_do_not_affect_results_are_listed():
    page = (ROOT / "docs/how-to/sweep.md").read_text("utf-8")
    listed = page.partition("that do not affect results: ")[2].partition(". Identical")[0]
    assert set(re.findall(r"`([\w.]+)`", listed)) == set(free_keys())


@cache
def keys() -> set[str]:
    """Return every key in the key reference."""
    page = (ROOT / "docs/reference/keys.md").read_text("utf-8")
    return set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_in_the_text_name_existing_keys(page):
    own = {word for block in blocks_of(page) for line in block.lines for word in re.findall(r"\w+", line)}
    for code in re.findall(r"`([^`\n]+)`", prose_of(page)):
        for key in SETTING.findall(code):
            known = key in keys() or key.startswith(OPEN_NODES) or any(name.startswith(f"{key}.") for name in keys())
            assert known or key.split(".")[1] in own, f"{key}: no such key"
