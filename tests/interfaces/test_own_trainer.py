"""The loop in the docstring of `bisum.interfaces.trainer` is a correct trainer."""

import sys
import textwrap

import pytest

import bisum
from bisum.errors import Failed
from bisum.interfaces import trainer as interface
from bisum.runs.metrics import read_metrics

IMPORTS = """
from dataclasses import dataclass
from itertools import islice
from torch.nn.utils import clip_grad_norm_
from bisum.interfaces.trainer import Trainer
from bisum.models.loss import count_all_tokens, token_loss


@dataclass(frozen=True, kw_only=True)
"""


@pytest.fixture
def plain(tmp_path, monkeypatch, write):
    """Function that composes a configuration with the documented loop."""
    code = interface.__doc__[interface.__doc__.index("class Plain(Trainer)") :]
    write(tmp_path / "plain_trainer.py", IMPORTS.lstrip() + textwrap.dedent(code))
    write(tmp_path / "conf/trainer/plain.yaml", "defaults: [_base]\n_target_: plain_trainer.Plain\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "plain_trainer", raising=False)

    def compose(*arguments):
        return bisum.compose([*arguments, "allow_targets=[plain_trainer]"], config_dir=str(tmp_path / "conf"))

    return compose


def losses(directory):
    return [line["train/loss"] for line in read_metrics(directory) if "train/loss" in line]


@pytest.mark.parametrize("arguments", [(), ("trainer.gradient_accumulation=3", "trainer.label_smoothing=0.1")])
def test_losses_and_scores_match_the_accelerate_loop(arguments, plain, trained, small, read, tmp_path):
    bisum.train(plain(*small, "trainer=plain", *arguments), tmp_path / "run")
    other = trained("trainer=accelerate", *arguments)
    assert losses(tmp_path / "run") == pytest.approx(losses(other), rel=1e-5)
    assert read.series(tmp_path / "run", "eval/rougeL") == pytest.approx(read.series(other, "eval/rougeL"), abs=1e-6)


def test_resuming_in_mid_epoch_gives_the_same_losses(plain, trained, small, tmp_path, monkeypatch):
    from bisum.training.session import Session

    end_step = Session.end_step

    def failing(self, *arguments):
        end_step(self, *arguments)
        if self.step == 11:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "end_step", failing)
        with pytest.raises(Failed, match="power cut"):
            bisum.train(plain(*small, "trainer=plain", "trainer.save_every=5"), tmp_path / "run")
    bisum.train(plain("resume=run"), tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(trained("trainer=accelerate")), rel=1e-5)


def test_debug_options_work(plain, small, read, tmp_path):
    arguments = ["trainer=plain", "debug=overfit", "debug.profile=true", "trainer.epochs=8", "trainer.max_steps=8"]
    bisum.train(plain(*small, *arguments), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == read.record(tmp_path / "run")["overfit"]["steps"] == 8
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]
    log = (tmp_path / "run/train.log").read_text("utf-8")
    assert "profile of 5 steps (" in log
    assert "warning: overfit: the loss of one batch of 4 rows fell from " in log
