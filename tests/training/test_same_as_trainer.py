"""Both backends take the same steps as a plain Seq2SeqTrainer.

It uses bisum's batches, loss, random states and dropout; optimizer, schedule and gradient norms are transformers' own.
"""

import json

import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from bisum import compose, train
from bisum.batches.collation import Collator
from bisum.batches.sampling import TrainingLoader
from bisum.batches.tokenization import encode
from bisum.corpus.corpus import load_corpus
from bisum.models.loading import load
from bisum.models.loss import token_loss
from bisum.models.noise import cheap_dropout
from bisum.records.run import recorded
from bisum.training.optimization import build_optimizer, warmup_steps

OVERRIDES = [
    "corpus.max_train_rows=32",
    "corpus.max_eval_rows=4",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.num_beams=1",
    "evaluation.bootstrap_samples=100",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.learning_rate=1e-3",
    "trainer.weight_decay=0.1",
    "trainer.warmup=0.15",
    "trainer.log_every=1",
    "hardware=cpu",
    "tracker=none",
]
VARIANTS = {
    "plain": ([], {}),
    "accumulated, not clipped": (
        ["trainer.gradient_accumulation=3", "trainer.max_gradient_norm=null", "trainer.schedule=cosine"],
        {"gradient_accumulation_steps": 3, "max_grad_norm": 0.0, "lr_scheduler_type": "cosine"},
    ),
}


class SeedEachStep(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        torch.manual_seed(args.seed * 1_000_003 + state.global_step)


def plain_trainer(config, folder, arguments):
    """Train a checkpoint with transformers' own parts, and return the trainer."""
    loaded = load(config.model, config.seed, "float32")
    with recorded(folder / "batches", config) as run:
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
        split = encode(corpus, loaded, folder, run.screen.progress)["train"]
    batches = TrainingLoader(split, Collator(loaded), config.trainer.batch_size, config.seed, config.hardware)

    class Plain(Seq2SeqTrainer):
        def get_train_dataloader(self):
            return batches

    trainer_arguments = {"max_grad_norm": 1.0, "lr_scheduler_type": "linear", **arguments}
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder / "plain"), per_device_train_batch_size=4, num_train_epochs=2, learning_rate=1e-3,
        weight_decay=0.1, warmup_steps=0.15, logging_steps=1, save_strategy="no", report_to="none", seed=config.seed,
        use_cpu=True, disable_tqdm=True, **trainer_arguments,
    )  # fmt: skip
    trainer = Plain(
        model=AutoModelForSeq2SeqLM.from_pretrained(config.model.checkpoint, dtype=torch.float32),
        args=arguments,
        train_dataset=batches.dataset,
        compute_loss_func=lambda outputs, labels, num_items_in_batch: token_loss(
            outputs.logits, labels, num_items_in_batch
        ),
        callbacks=[SeedEachStep()],
    )
    with cheap_dropout(torch.device("cpu")):
        trainer.train()
    return trainer


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["t5", "mt5", "bart"])
def test_losses_norms_and_weights_equal_trainer_bit_for_bit(family, variant, checkpoints, tmp_path):
    overrides, arguments = VARIANTS[variant]
    overrides = [*OVERRIDES, f"model.checkpoint={checkpoints(family)}", *overrides]
    plain = plain_trainer(compose(overrides), tmp_path, arguments)
    steps = [line for line in plain.state.log_history if "loss" in line]
    assert len(steps) == (16 if variant == "plain" else 6)
    for backend in ("accelerate", "seq2seq_trainer"):
        directory = tmp_path / backend
        train(compose([*overrides, f"trainer={backend}"]), directory)
        lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
        for name in ("loss", "grad_norm", "learning_rate"):
            got = [line[f"train/{name}"] for line in lines if "train/loss" in line]
            assert got == [step[name] for step in steps], (backend, name)
            assert len(set(got)) > len(got) / 2
        saved = load_file(directory / "checkpoints/epoch-2/model.safetensors")
        weights = plain.model.state_dict()
        assert [name for name, tensor in saved.items() if not torch.equal(tensor, weights[name])] == []


@pytest.mark.parametrize("family", BUILDERS)
def test_weight_decay_spares_the_same_parameters_as_trainer(family, checkpoints, tmp_path):
    auto_model = AutoModelForCausalLM if family in PROMPTS else AutoModelForSeq2SeqLM
    model = auto_model.from_pretrained(checkpoints(family), dtype=torch.float32)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    arguments = TrainingArguments(output_dir=str(tmp_path), weight_decay=0.1, use_cpu=True, report_to="none")
    theirs, ours = (
        [({names[id(p)] for p in group["params"]}, group["weight_decay"]) for group in optimizer.param_groups]
        for optimizer in (
            Trainer(model=model, args=arguments).create_optimizer(),
            build_optimizer(model, compose(["trainer.weight_decay=0.1"]).trainer),
        )
    )
    assert ours == theirs
    (decayed, _), (spared, _) = ours
    assert len(decayed) > 3
    assert len(spared) > 3
    (everything,) = build_optimizer(model, compose(["trainer.decay_all_parameters=true"]).trainer).param_groups
    assert len(everything["params"]) == len(names)
    if family in ("t5", "mt5"):
        assert sum(name.endswith("relative_attention_bias.weight") for name in spared) == 2


def test_warmup_matches_training_arguments(tmp_path):
    shares = [0, 0.01, 0.05, 0.06, 0.1, 0.15, 0.2, 0.25, 1 / 3, 0.5, 0.7, 0.99, 1, 1.5, 7, 12.9]
    for share in shares:
        theirs = TrainingArguments(output_dir=str(tmp_path), warmup_steps=share, use_cpu=True)
        for steps in (1, 2, 3, 5, 7, 10, 16, 30, 49, 70, 100, 333, 1000, 12_345):
            assert warmup_steps(float(share), steps) == theirs.get_warmup_steps(steps), (share, steps)
    assert warmup_steps(0.1, 5) == 1
