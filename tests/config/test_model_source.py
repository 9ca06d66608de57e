"""Models in Python packages: `pkg://PACKAGE`."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import bisum
from bisum import compose
from bisum.config.model_source import located
from bisum.errors import UserError
from bisum.models.loading import load, load_reader

STARTER = Path(bisum.__file__).parent / "assets" / "starter"


def test_package_resolves_to_its_directory():
    assert located("pkg://bisum.assets.starter") == str(STARTER)


@pytest.mark.parametrize("has_init", [True, False])
def test_model_in_a_users_package_loads(has_init, tmp_path, monkeypatch):
    folder = tmp_path / "packaged_lab/small"
    shutil.copytree(STARTER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    if has_init:
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    name = "pkg://packaged_lab.small"
    assert located(name) == str(folder)
    own, starter = (load(compose([f"model.checkpoint={given}"]).model, 0, "float32") for given in (name, STARTER))
    assert own.parameters == starter.parameters
    assert own.tokenizer("El niño").input_ids == starter.tokenizer("El niño").input_ids


def test_no_code_of_the_package_runs(tmp_path, monkeypatch):
    (tmp_path / "packaged_trap/small").mkdir(parents=True)
    (tmp_path / "packaged_trap/__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    assert located("pkg://packaged_trap.small") == str(tmp_path / "packaged_trap/small")


@pytest.mark.parametrize(
    "package",
    [
        "nothing",
        "nothing.there",
        "bisum.models.nothing",
        "json.decoder",
        "os",
        "__main__",
        "",
        ".models",
        "a..b",
        "a/b",
    ],
)
def test_missing_package_is_reported_in_one_line(package):
    """`json.decoder` and `os` are modules without a directory."""
    line = f"model.checkpoint: 'pkg://{package}': no installed Python package has the folder '{package}'"
    with pytest.raises(UserError) as raised:
        located(f"pkg://{package}")
    assert str(raised.value) == line
    with pytest.raises(UserError) as raised:
        load_reader(replace(compose().model, checkpoint=f"pkg://{package}"))
    assert str(raised.value) == line


@pytest.mark.parametrize("name", ["", "~nobody-here/x", "~\0"])
def test_invalid_name_is_reported(name):
    with pytest.raises(UserError) as raised:
        located(name)
    shown = name.replace("\0", "\\x00")
    assert str(raised.value) == f"model.checkpoint: no such directory: '{shown}'"


@pytest.mark.parametrize(
    ("epochs", "names"),
    [
        ([], None),
        (["1", "12", "2.5"], "epoch-1, epoch-2.5, epoch-12"),
        (range(1, 8), "epoch-1, ..., epoch-7"),
    ],
)
@pytest.mark.parametrize("folder", ["outputs/first/checkpoints", "~/first/checkpoints"])
def test_a_missing_checkpoint_is_reported_with_those_that_exist(
    epochs, names, folder, tmp_path, monkeypatch, call_bisum, one_line
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "outputs"))
    for name in ["plots", *(f"epoch-{epoch}" for epoch in epochs)]:
        (tmp_path / "outputs/first/checkpoints" / name).mkdir(parents=True)
    hint = f"; {folder} has {names}" if names else ""
    for arguments, key in [
        ([f"model.checkpoint='{folder}/epoch-9'"], "model.checkpoint"),
        (["evaluate", f"{folder}/epoch-9"], "run"),
    ]:
        line = one_line(call_bisum(*arguments, "tracker=none"))
        assert line == f"bisum: {key}: no such directory: '{folder}/epoch-9'{hint}"


def test_a_file_is_not_a_checkpoint(tmp_path, monkeypatch, call_bisum, one_line):
    monkeypatch.chdir(tmp_path)
    for name in ("model.bin", "./model.bin"):
        Path("model.bin").touch()
        line = one_line(call_bisum(f"model.checkpoint={name}", "tracker=none"))
        assert line == f"bisum: model.checkpoint: '{name}' is a file; give the directory of a model"


def test_other_names_are_unchanged_except_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert located("~/models/a") == str(tmp_path / "models/a")
    assert located("google/mt5-small") == "google/mt5-small"
    assert located("./models/a") == "models/a"
    assert located(str(tmp_path / "~")) == str(tmp_path / "~")


def test_starter_weights_are_float16_on_disk_and_float32_in_memory():
    loaded = load(compose(["model=starter"]).model, 0, "float32")
    weights = loaded.model.state_dict()
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    with safe_open(STARTER / "model.safetensors", "pt") as stored:
        for name in stored.keys():  # noqa: SIM118
            weight = stored.get_tensor(name)
            assert weight.dtype == torch.float16
            assert torch.equal(weight.float(), weights[name])
        assert sum(stored.get_tensor(name).numel() for name in stored.keys()) == loaded.parameters  # noqa: SIM118
