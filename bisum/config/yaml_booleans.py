"""The original words for true and false in YAML files; some, such as `no`, are language codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import yaml

YamlPath = tuple[str | int | bool | None, ...]
"""The keys and indices of a value; None before the last one refers to the key itself."""

_BOOLEAN = "tag:yaml.org,2002:bool"


def original_words(files: Iterable[tuple[str, tuple[str, ...]]]) -> dict[YamlPath, str]:
    """Return the original word of each true and false in YAML files, such as `no`, by its path in the configuration.

    `files` are pairs of a text and the path of the node that contains it; later files take precedence.
    """
    words: dict[YamlPath, str] = {}
    for text, package in files:
        words |= dict(_words(yaml.compose(text, Loader=yaml.SafeLoader), package))
    return words


def _words(node: yaml.Node | None, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(node, yaml.ScalarNode) and node.tag == _BOOLEAN:
        yield path, node.value
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _words(item, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name: str | bool = key.value
            if key.tag == _BOOLEAN:
                name = key.value.lower() in ("yes", "on", "true")
                yield (*path, None, name), key.value
            yield from _words(item, (*path, name))
