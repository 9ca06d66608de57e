"""Links resolve, the index lists every page, and the README stays short."""

import os
import re

import pytest
from pages import PAGES, ROOT, anchors_of, blocks_of, prose_of

_LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_existing_files_and_headings(page):
    for link in _LINK.findall(prose_of(page)):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: outside the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{link}: no such heading"


def test_readme_has_at_most_200_lines():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200


def test_every_page_is_in_the_index():
    index = ROOT / "docs/README.md"
    linked = {os.path.normpath(index.parent / link.partition("#")[0]) for link in _LINK.findall(prose_of(index))}
    assert {str(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and page != index} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_name_a_known_language(page):
    """Commands belong in `console` blocks, which are tested, unlike `sh` and `bash` blocks."""
    languages = {block.language for block in blocks_of(page)}
    assert languages <= {"console", "python", "yaml", "json", "csv", "text"}
