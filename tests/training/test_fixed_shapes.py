"""Batches in few shapes: padding rows and tokens change no loss, gradient, score or summary."""

from dataclasses import replace

import pytest
import torch

from bisum.batches.collation import Collator
from bisum.batches.sampling import TrainingLoader
from bisum.batches.shapes import Shapes, choose_shapes
from bisum.batches.tokenization import encode
from bisum.corpus.corpus import load_corpus
from bisum.evaluation.generation import generate
from bisum.models.loading import load
from bisum.models.loss import count_tokens, token_loss
from bisum.records.run import recorded

SHAPES = Shapes((24, 40, 64), 12)


@pytest.fixture(scope="module")
def config(small):
    from bisum import compose

    return compose([*small, "model.architecture.dropout=0", "corpus.max_train_rows=63"])


@pytest.fixture(scope="module")
def loaded(config):
    return load(config.model, config.seed, "float32")


@pytest.fixture(scope="module")
def splits(config, loaded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    with recorded(folder / "run", config) as run:
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
        return encode(corpus, loaded, folder, run.screen.progress)


def loss_and_gradients(loaded, batch):
    loaded.model.zero_grad()
    labels = batch["labels"]
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    loss = token_loss(loaded.model(**inputs).logits, labels, count_tokens(labels), 0.1)
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in loaded.model.named_parameters()}


def test_padding_a_short_batch_has_no_effect(loaded, splits):
    items = [splits["train"][row] for row in range(3)]
    longest = max(len(item["input_ids"]) for item in items)
    plain, full = Collator(loaded)(items), Collator(loaded, SHAPES, rows=8)(items)
    assert plain["input_ids"].shape == (3, longest)
    assert full["input_ids"].shape == full["attention_mask"].shape == (8, SHAPES.document_length(longest))
    assert full["labels"].shape == full["decoder_input_ids"].shape == (8, 12)
    for name, tensor in plain.items():
        assert torch.equal(full[name][:3, : tensor.shape[1]], tensor)
    assert (full["labels"][3:] == -100).all()

    loaded.model.train()
    loss, gradients = loss_and_gradients(loaded, plain)
    loss_full, gradients_full = loss_and_gradients(loaded, full)
    assert loss_full == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_full[name], gradient, rtol=1e-5, atol=1e-7)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients.values())


def lengths(splits):
    return [split.documents.lengths for split in splits.values()]


def test_every_batch_of_an_epoch_has_one_of_the_shapes(loaded, splits, config):
    shapes = choose_shapes(lengths(splits), loaded, 3)
    loaders = [
        TrainingLoader(splits["train"], Collator(loaded, *further), 4, 42, config.hardware)
        for further in ((), (shapes, 4))
    ]
    plain, fixed = map(list, loaders)
    assert len(plain) == len(fixed) == 16
    for one, other in zip(plain, fixed, strict=True):  # the same rows in the same order
        rows, length = one["labels"].shape
        assert torch.equal(other["labels"][:rows, :length], one["labels"])
    assert {batch["input_ids"].shape for batch in fixed} == {(4, length) for length in shapes.document_lengths}
    assert {batch["labels"].shape for batch in fixed} == {(4, 12)}
    assert len({batch["input_ids"].shape for batch in plain}) > 3
    assert min(len(batch["input_ids"]) for batch in plain) == 3


def test_lengths_never_exceed_the_token_limit(loaded, splits):
    shapes = choose_shapes(lengths(splits), replace(loaded, max_document_tokens=61), 2)
    assert shapes.document_lengths[-1] == 61
    assert choose_shapes(lengths(splits), loaded, None) is None


@pytest.mark.parametrize(
    "arguments",
    [["generation.num_beams=1", "generation.no_repeat_ngram_size=0", "generation.min_tokens=0"], [],
     ["generation.num_beams=3", "generation.length_penalty=0.2", "generation.no_repeat_ngram_size=2"]],
    ids=["greedy", "greedy, bounded", "beams"],
)  # fmt: skip
def test_one_decoder_shape_has_the_same_summaries_and_losses(arguments, loaded, splits, small):
    from bisum import compose

    options = compose([*small, *arguments]).generation
    split = splits["validation"]
    seen = set()
    plain = list(generate(loaded, split, options, 3))
    hook = loaded.model.decoder.register_forward_pre_hook(
        lambda module, args, inputs: seen.add((inputs["input_ids"].shape, inputs["encoder_hidden_states"].shape)),
        with_kwargs=True,
    )
    fixed = list(generate(loaded, split, options, 3, shapes=SHAPES))
    hook.remove()
    assert [batch.rows for batch in fixed] == [batch.rows for batch in plain]
    assert [batch.summaries for batch in fixed] == [batch.summaries for batch in plain]
    assert [batch.lengths for batch in fixed] == [batch.lengths for batch in plain]
    assert [batch.loss_tokens for batch in fixed] == [batch.loss_tokens for batch in plain]
    losses = [batch.loss_sum for batch in plain]
    assert [batch.loss_sum for batch in fixed] == pytest.approx(losses, rel=1e-6)
    beams = options.num_beams
    lengths = {SHAPES.document_length(max(len(split[row]["input_ids"]) for row in batch.rows)) for batch in plain}
    assert seen == {((3 * n, 12), (3 * n, length, 32)) for length in lengths for n in {1, beams}}


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_run_in_few_shapes_has_the_same_numbers(backend, trained, read):
    arguments = [
        f"trainer={backend}",
        "model.architecture.dropout=0",
        "trainer.gradient_accumulation=2",
        "tracker=none",
    ]
    arguments = [*arguments, "corpus.max_train_rows=63", "evaluation.batch_size=3"]
    plain, fixed = (trained(*arguments, f"hardware.length_buckets={buckets}") for buckets in ("null", "2"))
    for one, other in zip(read.metrics(plain), read.metrics(fixed), strict=True):
        assert other == pytest.approx(one, rel=1e-5)
    assert max(read.series(fixed, "eval/rouge1")) > 1
    assert "padded to documents of " in (fixed / "train.log").read_text("utf-8")
