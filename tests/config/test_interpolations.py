"""Interpolations that expand to a huge text are refused before they are resolved."""

import time

import pytest

from bisum import compose
from bisum.config.interpolations import check_expansion
from bisum.errors import UserError


def test_nested_references_have_a_limit(tmp_path, write):
    tags = ["'0123456789'", *(f"'{f'${{tracker.tags.{level}}}' * 10}'" for level in range(12))]
    text = "# @package _global_\ntracker:\n  tags:\n" + "".join(f"  - {tag}\n" for tag in tags)
    write(tmp_path / "experiment/e.yaml", text)
    began = time.perf_counter()
    with pytest.raises(UserError, match=r"^tracker\.tags\.5: interpolates to a text of more than 1,000,000 "):
        compose(["experiment=e"], config_dir=str(tmp_path))
    assert time.perf_counter() - began < 2


def test_all_forms_of_references_are_followed():
    long = "x" * 600_000
    for reference in ("${a.b}", "${.b}", "${a[b]}", "${..a.b}"):
        with pytest.raises(UserError, match=r"^a\.c: interpolates to"):
            check_expansion({"a": {"b": long, "c": f"{reference}{reference}"}})
    check_expansion({"a": {"b": "${a.c}", "c": "${a.b}"}, "d": [1, None, "${e}", "${oc.env:HOME}"]})
