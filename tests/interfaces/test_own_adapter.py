"""A user's own adapter, outside bisum: it freezes the encoder, in a run that is resumed and evaluated."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from bisum import compose, train

CODE = '''
from __future__ import annotations

from dataclasses import dataclass

from bisum.interfaces.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class Decoder(Adapter):
    """Training of the decoder."""

    needs_checkpoint = False

    def attach(self, model, family):
        model.get_encoder().block.requires_grad_(False)
'''
ADAPTER = "_target_: own_adapters.Decoder\n"
ARGUMENTS = [
    "allow_targets=[own_adapters]",
    "adapter=decoder",
    "model=tiny",
    "corpus.max_train_rows=16",
    "corpus.max_eval_rows=4",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=8",
    "trainer.epochs=2",
    "hardware=cpu",
]


@pytest.fixture
def conf(tmp_path, monkeypatch):
    (tmp_path / "own_adapters.py").write_text(CODE)
    (tmp_path / "conf/adapter").mkdir(parents=True)
    (tmp_path / "conf/adapter/decoder.yaml").write_text(ADAPTER)
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "conf")


def test_frozen_weights_stay_as_they_are_also_after_resuming(conf, tmp_path):
    run, half = tmp_path / "run", tmp_path / "half"
    train(compose(ARGUMENTS, config_dir=conf), run)
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert record["trained_parameters"] < record["parameters"]
    text = " ".join((run / "train.log").read_text("utf-8").split())
    assert f"frozen weights: {record['trained_parameters'] / 1e6:.2g} M of " in text

    first, last = (load_file(run / f"checkpoints/epoch-{n}/model.safetensors") for n in (1, 2))
    changed = {name for name in first if not torch.equal(first[name], last[name])}
    assert any(name.startswith("decoder.block") for name in changed)
    assert not any(name.startswith("encoder.block") for name in changed)

    shutil.copytree(run, half)
    shutil.rmtree(half / "checkpoints/epoch-2")
    (half / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    train(compose([f"resume={half}", "allow_targets=[own_adapters]"], config_dir=conf))
    resumed = load_file(half / "checkpoints/epoch-2/model.safetensors")
    assert all(torch.equal(resumed[name], last[name]) for name in last)
