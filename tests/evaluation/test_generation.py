"""Batched generation and scoring, compared with plain transformers calls on single rows with explicit settings."""

import json
from dataclasses import replace

import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from bisum import compose, train
from bisum.batches.tokenization import encode
from bisum.config.options import GenerationOptions
from bisum.corpus.corpus import load_corpus
from bisum.evaluation.evaluator import Evaluator
from bisum.evaluation.generation import generate, generation_config, set_decoding
from bisum.evaluation.metrics.length import Length
from bisum.models.loading import load
from bisum.records.run import recorded

# Trained on summaries of at most 5 tokens, to learn to end them, and used with up to 12.
ARGUMENTS = [
    "corpus.max_train_rows=96",
    "corpus.max_eval_rows=12",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.architecture.dropout=0.1",
    "model.max_document_tokens=64",
    "evaluation.bootstrap_samples=100",
    "evaluation.shown_summaries=0",
    "evaluation.batch_size=5",
    "generation.num_beams=1",
    "generation.no_repeat_ngram_size=2",
    "generation.min_tokens=2",
    "trainer.batch_size=4",
    "trainer.epochs=3",
    "trainer.learning_rate=3e-2",
    "hardware=cpu",
]


def options(num_beams, length_penalty, no_repeat_ngram_size, min_tokens, early_stopping=False):
    return GenerationOptions(
        num_beams=num_beams,
        length_penalty=length_penalty,
        no_repeat_ngram_size=no_repeat_ngram_size,
        min_tokens=min_tokens,
        early_stopping=early_stopping,
        engine="transformers",
        quantization="none",
    )


DECODING = {
    "greedy": options(1, 1.0, 0, 0),
    "greedy, bounded": options(1, 1.0, 1, 7),
    "beams": options(4, 0.2, 2, 3),
    "beams, long": options(3, 2.5, 1, 0),
    "beams, early": options(2, 2.5, 2, 2, early_stopping=True),
    "beams, late": options(2, 2.5, 2, 2, early_stopping="never"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generation")


@pytest.fixture(scope="module")
def config(folder):
    config = compose([*ARGUMENTS, "model.max_summary_tokens=5"])
    train(config, folder / "trained")
    return replace_model(compose(ARGUMENTS), folder)


def replace_model(config, folder):
    checkpoint = str(folder / "trained/checkpoints/epoch-3")
    model = replace(config.model, checkpoint=checkpoint, architecture=None, max_summary_tokens=12)
    return replace(config, model=model)


@pytest.fixture(scope="module")
def run(folder, config):
    with recorded(folder / "run", config) as run:
        yield run


@pytest.fixture(scope="module")
def loaded(config):
    return load(config.model, config.seed, "float32")


@pytest.fixture(scope="module")
def split(config, loaded, run, folder):
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    return encode(corpus, loaded, folder / "cache", run.screen.progress)["validation"]


def by_hand(loaded, split, options):
    """Return (text, tokens after the decoder's start, whether the last is the end token) of each row."""
    loaded.model.eval()
    results = []
    for document in split.rows["document"].to_pylist():
        inputs = loaded.tokenizer(document, truncation=True, max_length=64, return_tensors="pt")
        (ids,) = loaded.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=12,
            num_beams=options.num_beams,
            length_penalty=options.length_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            min_new_tokens=options.min_tokens,
            do_sample=False,
            early_stopping=options.early_stopping,
        )
        has_end = int(ids[-1]) == loaded.tokenizer.eos_token_id
        results.append((loaded.tokenizer.decode(ids, skip_special_tokens=True).strip(), len(ids) - 1, has_end))
    return results


def test_a_checkpoints_own_ban_of_repetition_applies_if_none_is_set(checkpoints):
    loaded = load(
        compose([f"model.checkpoint={checkpoints('bart')}", "model.max_document_tokens=64", "hardware=cpu"]).model,
        0,
        "float32",
    )
    assert loaded.model.generation_config.no_repeat_ngram_size == 3
    usual = DECODING["greedy"]
    for size, expected in ((None, 3), (0, 0), (2, 2)):
        assert generation_config(loaded, replace(usual, no_repeat_ngram_size=size)).no_repeat_ngram_size == expected
    set_decoding(loaded, replace(usual, no_repeat_ngram_size=2))  # changes the model's own settings
    assert set_decoding(loaded, replace(usual, no_repeat_ngram_size=None)).no_repeat_ngram_size == 3


@pytest.mark.parametrize("decoding", DECODING)
def test_batches_match_single_rows(decoding, loaded, split):
    batches = list(generate(loaded, split, DECODING[decoding], 5))
    lengths = [[int(split.documents.lengths[row]) for row in batch.rows] for batch in batches]
    assert lengths == sorted(lengths, key=max, reverse=True)
    for batch, following in zip(lengths, [*lengths[1:], None], strict=True):
        assert len(batch) <= 5
        assert min(batch) >= 0.75 * max(batch)
        if following:  # a batch ends because it is full, or because the next row is much shorter
            assert len(batch) == 5 or max(following) < 0.75 * max(batch)
    got = {
        row: (text, length)
        for batch in batches
        for row, text, length in zip(batch.rows, batch.summaries, batch.lengths, strict=True)
    }
    assert [got[row] for row in range(12)] == [row[:2] for row in by_hand(loaded, split, DECODING[decoding])]


def test_decoding_settings_change_the_summaries(loaded, split):
    texts = {name: tuple(row[:2] for row in by_hand(loaded, split, options)) for name, options in DECODING.items()}
    assert len(set(texts.values())) == len(DECODING)
    lengths = {name: [length for _, length in rows] for name, rows in texts.items()}
    assert min(lengths["greedy, bounded"]) >= 7
    assert min(lengths["greedy"]) < 12  # some rows end before the limit


def test_decoding_settings_of_the_checkpoint_are_ignored(loaded, split):
    usual = [batch.summaries for batch in generate(loaded, split, DECODING["greedy"], 5)]
    own = loaded.model.generation_config
    try:
        loaded.model.generation_config = type(own)(
            **{**own.to_dict(), "max_length": 3, "num_beams": 2, "do_sample": True, "repetition_penalty": 5.0}
        )
        changed = [batch.summaries for batch in generate(loaded, split, DECODING["greedy"], 5)]
    finally:
        loaded.model.generation_config = own
    assert changed == usual


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_evaluation_matches_hand_calculation(batch_size, config, run, loaded, split):
    evaluation = replace(config.evaluation, batch_size=batch_size)
    config = replace(config, evaluation=evaluation, generation=DECODING["greedy, bounded"], metric={"length": Length()})
    evaluation = Evaluator(config, run.screen.progress, run.interrupts.check).model(loaded, split, "eval")
    texts, lengths, ended = zip(*by_hand(loaded, split, config.generation), strict=True)
    rows = split.rows.to_pylist()
    assert evaluation.predictions == [
        {
            "id": row["id"],
            "language": row["language"],
            "category": row["category"],
            "document": row["document"],
            "reference": row["summary"],
            "prediction": text,
        }
        for row, text in zip(rows, texts, strict=True)
    ]
    assert evaluation.metrics["eval/gen_len"] == pytest.approx(sum(lengths) / 12, abs=1e-12)
    assert evaluation.metrics["eval/at_limit"] == pytest.approx(100 * (12 - sum(ended)) / 12)

    total, tokens = 0.0, 0
    for row in rows:
        inputs = loaded.tokenizer(row["document"], truncation=True, max_length=64, return_tensors="pt")
        labels = loaded.tokenizer(
            text_target=row["summary"], truncation=True, max_length=12, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            total += loaded.model(**inputs, labels=labels).loss.item() * labels.numel()
        tokens += labels.numel()
    assert evaluation.metrics["eval/loss"] == pytest.approx(total / tokens, rel=1e-5)

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    scores = [scorer.score(row["summary"], text) for row, text in zip(rows, texts, strict=True)]
    for name in ("rouge1", "rouge2", "rougeL"):
        for language, infix in ((None, ""), ("en", "en/"), ("es", "es/")):
            chosen = [
                score[name] for row, score in zip(rows, scores, strict=True) if language in (None, row["language"])
            ]
            mean = 100 * sum(score.fmeasure for score in chosen) / len(chosen)
            assert evaluation.metrics[f"eval/{infix}{name}"] == pytest.approx(mean, abs=1e-9)
    assert evaluation.metrics["eval/rouge1"] > 0


def test_evaluation_disables_dropout_and_restores_training_mode(config, run, loaded, split):
    evaluator = Evaluator(config, run.screen.progress, run.interrupts.check)
    loaded.model.eval()
    before = evaluator.model(loaded, split, "eval").metrics
    assert not loaded.model.training
    loaded.model.train()
    try:
        state = torch.get_rng_state()
        assert evaluator.model(loaded, split, "eval").metrics == before
        assert all(module.training for module in loaded.model.modules())
        assert torch.equal(torch.get_rng_state(), state)
        assert all(parameter.grad is None for parameter in loaded.model.parameters())
    finally:
        loaded.model.eval()


def test_test_predictions_come_from_the_saved_best_checkpoint(folder, loaded):
    """The predictions of the test split come from the best checkpoint, decoded as configured."""
    record = json.loads((folder / "trained/run.json").read_text("utf-8"))
    name = record["test"]["checkpoint"]
    rows = [
        json.loads(line) for line in (folder / f"trained/predictions/test-{name}.jsonl").read_text("utf-8").splitlines()
    ]
    model = type(loaded.model).from_pretrained(folder / "trained/checkpoints" / name)
    for row in rows:
        inputs = loaded.tokenizer(row["document"], truncation=True, max_length=64, return_tensors="pt")
        ids = model.generate(**inputs, max_new_tokens=5, min_new_tokens=2, no_repeat_ngram_size=2, do_sample=False)
        assert loaded.tokenizer.decode(ids[0], skip_special_tokens=True).strip() == row["prediction"]
