"""Checkpoints are complete or absent, damage is detected, the best is kept, and optimizers are restored bit for bit."""

import json
import math
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.optim import AdamW
from transformers.optimization import Adafactor

from bisum.errors import UserError
from bisum.runs.checkpoints import checkpoints_in, damage
from bisum.training.checkpoints import CheckpointStore, read_training_state, write_training_state


def write(folder):
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "state.json").write_text('{"step": 3}')


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints")


def names(store):
    return [path.name for path in checkpoints_in(store.directory)]


def test_names_sort_by_epoch(store):
    for epoch in (10, 2, 0.5, 1.25, 9, 0.000041):
        store.save(epoch, write)
    assert [float(name.removeprefix("epoch-")) for name in names(store)] == [0.000041, 0.5, 1.25, 2, 9, 10]
    assert not [path for path in store.directory.iterdir() if path.name.startswith(".")]


def test_two_steps_never_share_a_name(store):
    """Epoch 10 at 25,000 steps per epoch, and the next step, interrupted by Ctrl-C."""
    paths = {store.save(step / 25_000, write) for step in (250_000, 250_001)}
    assert len(paths) == 2


def test_failed_write_leaves_no_checkpoint(store):
    store.save(1, write)

    def fail(folder):
        write(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.save(2, fail)
    assert names(store) == ["epoch-1"]
    store.save(2, write)
    assert names(store) == ["epoch-1", "epoch-2"]


def test_process_killed_while_writing_leaves_no_checkpoint(store):
    store.save(1, write)

    def die(folder):
        write(folder)
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        try:
            store.save(2, die)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert names(store) == ["epoch-1"]
    assert store.newest_intact(print).name == "epoch-1"


def truncate(folder):
    os.truncate(folder / "model.safetensors", 100)


def flip_a_bit(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[5000] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def lose_a_file(folder):
    (folder / "state.json").unlink()


def lose_the_manifest(folder):
    (folder / "manifest.json").unlink()


def empty_the_manifest(folder):
    (folder / "manifest.json").write_text("")


def cut_the_manifest(folder):
    os.truncate(folder / "manifest.json", 30)


DAMAGES = [truncate, flip_a_bit, lose_a_file, lose_the_manifest, empty_the_manifest, cut_the_manifest]


@pytest.mark.parametrize("break_checkpoint", DAMAGES)
def test_damaged_checkpoint_falls_back_to_the_previous_one(break_checkpoint, store):
    for epoch in (1, 2, 3):
        store.save(epoch, write)
    assert damage(store.directory / "epoch-3") is None
    break_checkpoint(store.directory / "epoch-3")
    warnings = []
    assert store.newest_intact(warnings.append).name == "epoch-2"
    assert len(warnings) == 1
    assert "epoch-3" in warnings[0]
    for epoch in (1, 2):
        break_checkpoint(store.directory / f"epoch-{epoch}")
    assert store.newest_intact(warnings.append) is None


def test_saving_again_replaces_a_damaged_checkpoint(store):
    store.save(1, write)
    flip_a_bit(store.save(2, write))
    store.save(2, write)
    assert damage(store.directory / "epoch-2") is None
    assert sorted(path.name for path in store.directory.iterdir()) == ["epoch-1", "epoch-2"]


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [
        (2, "epoch-1", ["epoch-1", "epoch-4", "epoch-5"]),
        (2, "epoch-5", ["epoch-4", "epoch-5"]),
        (1, None, ["epoch-5"]),
        (9, "epoch-1", ["epoch-1", "epoch-2", "epoch-3", "epoch-4", "epoch-5"]),
        (None, "epoch-1", ["epoch-1", "epoch-2", "epoch-3", "epoch-4", "epoch-5"]),
    ],
)
def test_pruning_keeps_the_newest_and_the_best(keep, best, left, store):
    for epoch in range(1, 6):
        store.save(epoch, write)
    store.prune(keep, best)
    assert names(store) == left


def make(kind):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    if kind == "adamw":
        return model, AdamW(groups, lr=0.01)
    return model, Adafactor(groups, lr=0.01, scale_parameter=False, relative_step=False)


def step(model, optimizer, number):
    torch.manual_seed(number)
    model(torch.randn(4, 7)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["adamw", "adafactor"])
def test_restored_optimizer_continues_bit_for_bit(kind, tmp_path):
    model, optimizer = make(kind)
    for number in range(3):
        step(model, optimizer, number)
    write_training_state(tmp_path, optimizer, {"progress": {"step": 3}}, with_weights=False)
    again, restored = make(kind)
    again.load_state_dict(model.state_dict())
    rest = read_training_state(tmp_path, restored, with_weights=False)
    assert rest["progress"] == {"step": 3}
    expected, got = optimizer.state_dict(), restored.state_dict()
    assert json.dumps(got["param_groups"]) == json.dumps(expected["param_groups"])
    for index, entries in expected["state"].items():
        assert got["state"][index].keys() == entries.keys()
        assert all(type(got["state"][index][name]) is type(value) for name, value in entries.items())
        assert all(torch.equal(*map(torch.as_tensor, (got["state"][index][n], v))) for n, v in entries.items())
    for number in range(3, 6):
        step(model, optimizer, number)
        step(again, restored, number)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("change", "message"), [("cut", "entries 0.* for a weight"), ("drop", "lacks 0.weight")])
def test_damaged_weights_of_an_average_are_refused(change, message, tmp_path):
    _, optimizer = make("adamw")
    write_training_state(tmp_path, optimizer, {}, with_weights=True)
    read_training_state(tmp_path, optimizer, with_weights=True)
    tensors = load_file(tmp_path / "optimizer.safetensors")
    weight = tensors.pop("0.weight")
    if change == "cut":
        tensors["0.weight"] = weight[:1].clone()
    save_file(tensors, tmp_path / "optimizer.safetensors")
    with pytest.raises(UserError, match=re.escape(message)):
        read_training_state(tmp_path, optimizer, with_weights=True)


def test_infinite_values_survive_saving(tmp_path):
    _, optimizer = make("adamw")
    write_training_state(tmp_path, optimizer, {"progress": {"best": -math.inf}}, with_weights=False)
    assert read_training_state(tmp_path, optimizer, with_weights=False)["progress"]["best"] == -math.inf


def test_checkpoints_contain_no_pickle(trained):
    for folder in (trained("trainer=accelerate") / "checkpoints").iterdir():
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= {".safetensors", ".json", ".model", ".txt"}
        assert {"model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json"} <= {
            p.name for p in files
        }
        for path in files:
            if path.suffix == ".json":
                json.loads(path.read_text("utf-8"))
            assert path.read_bytes()[:2] not in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05")
