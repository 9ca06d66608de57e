"""Every key of conf/ has a short comment on its line."""

from collections.abc import Iterator

import pytest
import yaml

from bisum.interfaces.defaults import conf_directory

CONF = conf_directory()
FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))
LONGEST_COMMENT = 80
LONGEST_LINE = 120


def leaf_marks(node: yaml.Node, key: str = "") -> Iterator[tuple[str, yaml.Mark]]:
    """Yield the dotted name of each key without keys below it, and the end of its value; a flow mapping is one value.

    The `defaults` list and `_target_` are left out: their values speak for themselves.
    """
    is_block = isinstance(node, yaml.MappingNode) and not node.flow_style
    if not is_block:
        yield key, node.end_mark
        return
    for name, value in node.value:
        if name.value != "_target_" and (key or name.value != "defaults"):
            yield from leaf_marks(value, f"{key}.{name.value}".lstrip("."))


@pytest.mark.parametrize("file", FILES)
def test_every_key_has_a_short_comment_on_its_line(file):
    text = (CONF / file).read_text(encoding="utf-8")
    lines = text.splitlines()
    for key, end in leaf_marks(yaml.compose(text)):
        rest = lines[end.line][end.column :]
        assert rest.startswith("  # "), f"{file}, line {end.line + 1}: {key} has no comment"
        comment = rest.removeprefix("  # ")
        assert comment.strip(), f"{file}, line {end.line + 1}: the comment of {key} is empty"
        assert len(comment) <= LONGEST_COMMENT, f"{file}, line {end.line + 1}: the comment of {key} is too long"


@pytest.mark.parametrize("file", FILES)
def test_no_line_is_too_long(file):
    for number, line in enumerate((CONF / file).read_text(encoding="utf-8").splitlines(), start=1):
        assert len(line) <= LONGEST_LINE, f"{file}, line {number}: {len(line)} characters"
