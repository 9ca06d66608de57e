"""The user's folders of YAML files."""

import os
import time
from pathlib import Path

import pytest

from bisum import compose
from bisum.errors import UserError

HEAD = "# @package _global_\n"


def test_header_after_a_byte_order_mark_is_read(tmp_path, write):
    write(tmp_path / "experiment/e.yaml", f"\ufeff{HEAD}seed: 7\nlanguages: [no]\n")
    config = compose(["experiment=e"], config_dir=str(tmp_path))
    assert (config.seed, config.languages) == (7, ["no"])


def test_folders_on_the_search_path_are_read_the_same_way(tmp_path, write):
    write(tmp_path / "experiment/e.yaml", f"\ufeff{HEAD}seed: 7\nlanguages: [no]\n")
    for folder in (tmp_path, f"file://{tmp_path}"):
        config = compose([f"hydra.searchpath=['{folder}']", "experiment=e"])
        assert (config.seed, config.languages) == (7, ["no"])
    write(tmp_path / "experiment/e.yaml", f"{HEAD}seed: &a [*a]\n")
    with pytest.raises(UserError, match=r"experiment/e\.yaml, line 2, column 11: alias \*a refers to the node"):
        compose([f"hydra.searchpath=['{tmp_path}']", "experiment=e"])


CIRCLES = [
    ({"e": "[e]"}, "experiment/e -> experiment/e"),
    ({"e": "[/experiment/e]"}, "experiment/e -> experiment/e"),
    ({"e": "[f]", "f": "[g, _self_]", "g": "[{/experiment: e}]"}, "experiment/e -> experiment/f -> experiment/g -> "),
    ({"e": "[/train]"}, "circular or too deeply nested defaults list"),
]


@pytest.mark.parametrize(("files", "message"), CIRCLES)
def test_circular_defaults_list_is_reported(tmp_path, write, files, message):
    for name, defaults in files.items():
        write(tmp_path / f"experiment/{name}.yaml", f"{HEAD}defaults: {defaults}\n")
    with pytest.raises(UserError) as raised:
        compose(["experiment=e"], config_dir=str(tmp_path))
    assert str(raised.value).startswith(f"{tmp_path}/experiment/")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "defaults", ["x", "{a: b}", "null", "[[a]]", "[1]", "[null]", "[{a: b, c: d}]", "[{a: [b, [c]]}]"]
)
def test_malformed_defaults_list_is_refused_with_its_file(tmp_path, write, defaults):
    write(tmp_path / "experiment/e.yaml", f"{HEAD}defaults: {defaults}\n")
    with pytest.raises(UserError, match=r"experiment/e\.yaml: defaults: expected"):
        compose(["experiment=e"], config_dir=str(tmp_path))


def test_anything_except_a_regular_file_is_refused_at_once(tmp_path):
    (tmp_path / "experiment").mkdir()
    path = tmp_path / "experiment/e.yaml"
    for make, message in (
        (lambda: os.mkfifo(path), "is not a regular file"),
        (lambda: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda: path.symlink_to("nowhere"), "is a broken symbolic link"),
    ):
        make()
        with pytest.raises(UserError, match=message):
            compose(["experiment=e"], config_dir=str(tmp_path))
        path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="experiment=e: no such option"):
        compose(["experiment=e"], config_dir=str(tmp_path))


def test_message_about_very_many_files_is_fast_and_short(tmp_path):
    (tmp_path / "experiment").mkdir()
    for number in range(20_000):
        (tmp_path / f"experiment/x{number}.yaml").touch()
    shipped = len(list(Path("conf/experiment").glob("*.yaml")))
    unlisted = f"{20_000 + shipped - 50:,}"  # a message lists 50 names
    began = time.perf_counter()
    with pytest.raises(UserError, match=rf"experiment=e: no such option .* and {unlisted} more\)$"):
        compose(["experiment=e"], config_dir=str(tmp_path))
    assert time.perf_counter() - began < 5


def test_exploding_defaults_lists_are_refused_before_hydra_loads_them(tmp_path, write):
    for level in range(16):
        text = f"{HEAD}defaults: [a{level + 1}, a{level + 1}@b]\n"
        write(tmp_path / f"experiment/a{level}.yaml", text)
    write(tmp_path / "experiment/a16.yaml", HEAD)
    began = time.perf_counter()
    with pytest.raises(UserError, match=r"experiment/a0\.yaml: its defaults lists load 131,071 files; the limit"):
        compose(["experiment=a0"], config_dir=str(tmp_path))
    assert time.perf_counter() - began < 2


def test_launcher_chosen_in_a_file_is_refused(write, tmp_path, call_bisum, one_line):
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: basic\n"
    write(tmp_path / "mine/experiment/e.yaml", text)
    arguments = ["-m", "--config-dir", "mine", "experiment=e", "seed=1,2", "--cfg", "job"]
    line = one_line(call_bisum(*arguments))
    assert line == "bisum: hydra/launcher: cannot be chosen in a file; give hydra/launcher=basic on the command line"
    assert call_bisum(*arguments, "hydra/launcher=basic").code == 0
