"""Errors in a user's YAML file are reported with their position, within a second."""

import time

import pytest

from bisum.config.yaml_files import MAX_BYTES, yaml_config, yaml_text
from bisum.errors import UserError

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))

BAD = {
    "brackets": ("a: " + "[" * 10_000 + "]" * 10_000, "line 1, column 53: nested more than 50 levels deep"),
    "braces": ("a: " + "{a: " * 10_000, "nested more than 50 levels deep"),
    "indentation": ("".join(f"{' ' * i}a:\n" for i in range(600)), "line 51, column 51: nested more than 50"),
    "an alias that contains itself": (
        "x: 1\na: &a [*a]\n",
        "line 2, column 8: alias *a refers to the node that contains it",
    ),
    "a merge key that contains itself": ("a: &a\n  <<: *a\n", "alias *a refers to the node that contains it"),
    "billion laughs": (LAUGHS, "more than 20,000 values, including those repeated by aliases"),
    "a whole number": (f"a: {'9' * 5000}", "line 1, column 4: '999", "is a number with 5,000 digits"),
    "a number": (f"a: 0.{'9' * 5000}", "is a number with 5,002 digits"),
    "sixties": (f"a: 1{':59' * 3000}", "is a number with 9,001 digits"),
    "an interpolation": (f"a: '{'${' * 500}x{'}' * 500}'", "interpolation nested more than 50 levels deep"),
    "a duplicate": ("a: 1\nb: 2\n'a': 3\n", "line 3, column 1: duplicate key 'a'"),
    "a duplicate number": ("1: 1\n1: 2\n", "line 2, column 1: duplicate key '1'"),
    "a tab": ("a:\n\tb: 1\n", "line 2, column 1: not valid YAML"),
    "NUL": ("a: 1\nb: 1\0\n", "line 2, column 5: not valid YAML: special characters"),
    "a program": ("a: !!python/object/apply:os.system [true]", "unsupported tag !!python/object/apply:os.system"),
    "a set": ("a: !!set {b}", "unsupported tag !!set; write plain values"),
    "bytes": ("a: !!binary aGVsbG8=", "unsupported tag !!binary; write plain values"),
    "not true or false": ("a: !!bool x", "'x' is not true or false"),
    "a null key": ("null: 1", "NoneType"),
    "a list as a key": ("? [a]\n: b", "a key must be text"),
    "a list": ("- a", "line 1, column 1: expected keys and values (key: value), not a list"),
    "a text": ("hello", "expected keys and values (key: value), not a single value"),
    "two documents": ("a: 1\n---\na: 2\n", "line 2, column 1: second YAML document"),
}


@pytest.mark.parametrize("kind", BAD)
def test_error_is_reported_with_its_position(tmp_path, kind):
    text, *messages = BAD[kind]
    began = time.perf_counter()
    with pytest.raises(UserError) as raised:
        yaml_config(text, tmp_path / "e.yaml")
    assert time.perf_counter() - began < 2
    line = str(raised.value)
    assert line.startswith(f"{tmp_path}/e.yaml")
    assert len(line.splitlines()) == 1
    assert all(part in line for part in messages), line


def test_valid_file_is_read(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &a {b: 1e-3, c: 2001-01-01}\r\nd:\r\n  <<: *a\r\n  e: !!str 5\r\n")
    assert yaml_config(yaml_text(path), path) == {
        "a": {"b": 1e-3, "c": "2001-01-01"},
        "d": {"b": 1e-3, "c": "2001-01-01", "e": "5"},
    }
    assert yaml_config("# nothing\n", path) == {}
    assert yaml_config(f"a: {'[' * 49}{']' * 49}", path).a == eval("[" * 49 + "]" * 49)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1".encode("utf-16"), "is UTF-16 or UTF-32; convert the file to UTF-8"),
        ("a: ñ".encode("latin-1"), "is not UTF-8 (byte 4); convert the file to UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than 250,000 bytes"),
    ],
)
def test_unreadable_file_is_refused(tmp_path, content, message):
    (tmp_path / "e.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"e\.yaml: ") as raised:
        yaml_text(tmp_path / "e.yaml")
    assert message in str(raised.value)
