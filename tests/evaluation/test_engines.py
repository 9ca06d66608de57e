"""CTranslate2 beside transformers: the same summaries, and clear messages where they could differ."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch
from batch import generate_plainly, read_batch, sample_texts

from bisum import Summarizer, compose, train
from bisum.corpus.corpus import load_corpus
from bisum.errors import UserError
from bisum.evaluation.ctranslate2_engine import CTranslate2Engine
from bisum.evaluation.engines import build_engine
from bisum.evaluation.generation import encode_texts, generate
from bisum.models.decoding import end_tokens
from bisum.models.loading import load

PROVEN = [
    *("t5", "flan_t5", "mt5", "umt5", "byt5"),
    *("bart", "kobart", "barthez", "bart_chinese", "pegasus"),
    *("mbart50", "nllb", "m2m100"),
]
UNSUPPORTED = ["t5gemma", "led", "longt5", "marian", "gpt2"]
LIMITS = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu"]


@pytest.fixture(scope="module")
def prepare(checkpoints):
    """A family's model, a batch of inputs and the settings of `generate`; the first document is a single letter."""
    documents, languages = sample_texts(40)
    return lambda family, *overrides: read_batch(checkpoints(family), ["a", *documents], ["es", *languages], *overrides)


@pytest.mark.parametrize(
    "overrides",
    [[], ["generation.min_tokens=3"], ["generation.no_repeat_ngram_size=2"]],
    ids=["default", "minimum", "bigrams"],
)
@pytest.mark.parametrize("family", PROVEN)
def test_greedy_ids_equal_those_of_transformers(prepare, family, overrides):
    loaded, inputs, config = prepare(family, *overrides)
    stated = loaded.model.config.to_dict()
    (found,) = CTranslate2Engine(loaded, "none").generate([inputs], config)
    first = loaded.family.start_tokens + loaded.family.forced_tokens
    rows = list(zip(found.tolist(), generate_plainly(loaded, inputs, config)[:, first:].tolist(), strict=True))
    if config.no_repeat_ngram_size:  # transformers counts T5's start token, which only random weights write in a text
        rows = [(own, plain) for own, plain in rows if config.decoder_start_token_id not in _text(plain, config)]
        assert len(rows) > 20
    for own, plain in rows:
        assert own == plain
    assert len(set(map(tuple, found.tolist()))) > 1
    assert loaded.model.config.to_dict() == stated


def _text(ids, config):
    """The ids before the end of a summary."""
    ends = [at for at, token in enumerate(ids) if token in end_tokens(config.eos_token_id)]
    return ids[: ends[0]] if ends else ids


def test_torch_keeps_its_threads(prepare):
    loaded, inputs, config = prepare("t5")
    own = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        CTranslate2Engine(loaded, "none").generate([inputs], config)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(own)


@pytest.fixture(scope="module")
def starter():
    """The trained starter, and all rows of the sample's validation split."""
    config = compose(["hardware=cpu"])
    loaded = load(config.model, 0, "float32")
    rows = load_corpus(config.corpus, config.filter, config.languages, 0).splits["validation"]
    split = encode_texts(loaded, rows["document"].to_pylist(), rows["language"].to_pylist())

    def summaries(engine, count=None, **options):
        decoding = replace(config.generation, engine=engine, **options)
        built = build_engine(loaded, decoding, "float32")
        only = None if count is None else range(count)
        batches = generate(loaded, split, decoding, 32, scored=False, engine=built, only=only)
        return dict(pair for batch in batches for pair in zip(batch.rows, batch.summaries, strict=True))

    return summaries


def test_every_summary_of_the_starter_is_the_same(starter):
    for size in (0, 2, 3):
        ours, theirs = (starter(name, no_repeat_ngram_size=size) for name in ("ctranslate2", "transformers"))
        assert ours == theirs


def test_beams_differ_only_by_the_rule_that_ends_the_search(starter):
    beams = {"count": 96, "num_beams": 4, "no_repeat_ngram_size": 0}
    same = {**beams, "early_stopping": True}
    assert starter("ctranslate2", **same) == starter("transformers", **same)
    ours, theirs = (starter(engine, **beams) for engine in ("ctranslate2", "transformers"))
    assert 0 < sum(ours[row] != theirs[row] for row in ours) < 0.5 * len(ours)  # early_stopping=false goes on


def test_int8_weights_change_some_summaries(starter):
    floats, integers = starter("ctranslate2"), starter("ctranslate2", quantization="int8")
    assert 0 < sum(floats[row] != integers[row] for row in floats) < len(floats)


@pytest.mark.parametrize("family", PROVEN)
def test_auto_uses_ctranslate2_where_the_summaries_are_the_same(prepare, family):
    loaded = prepare(family)[0]
    options = compose().generation
    for same in (options, replace(options, no_repeat_ngram_size=2)):
        assert isinstance(build_engine(loaded, same, "float32"), CTranslate2Engine)
    for changed in ({"num_beams": 2}, {"no_repeat_ngram_size": 1}, {"engine": "transformers"}):
        assert build_engine(loaded, replace(options, **changed), "float32") is None
    assert build_engine(loaded, options, "bf16") is None


@pytest.mark.parametrize("family", UNSUPPORTED)
def test_a_family_without_proof_is_refused_and_auto_uses_transformers(checkpoints, family):
    suffix = ['model.suffix="TL;DR:"'] if family == "gpt2" else []
    config = compose([f"model.checkpoint={checkpoints(family)}", *LIMITS, *suffix])
    loaded = load(config.model, 0, "float32")
    assert build_engine(loaded, config.generation, "float32") is None
    with pytest.raises(
        UserError, match=r"generation\.engine: ctranslate2 does not support '\w+' models of family \w+; use"
    ):
        build_engine(loaded, replace(config.generation, engine="ctranslate2"), "float32")


def test_settings_that_ctranslate2_lacks_are_refused_in_one_line(call_bisum, one_line, checkpoints):
    arguments = ("summarize", "generation.engine=ctranslate2", "hardware=cpu")
    finished = call_bisum(*arguments, "hardware.precision=bf16", "--", "A text")
    assert finished.code == 2
    assert "generation.engine: ctranslate2 needs hardware.precision=float32, not bf16" in one_line(finished)
    finished = call_bisum(
        "generation.engine=ctranslate2", "hardware.length_buckets=2", "corpus=files", "corpus.path=no.csv"
    )
    assert finished.code == 2
    assert "generation.engine: ctranslate2 does not support fixed shapes (hardware.length_buckets)" in one_line(
        finished
    )
    missing = ("generation.engine=ctranslate2", "corpus=files", "corpus.path=no.csv")  # read later
    finished = call_bisum(*missing, *LIMITS, f"model.checkpoint={checkpoints('gpt2')}", 'model.suffix="TL;DR:"')
    assert finished.code == 2
    assert "ctranslate2 does not support 'gpt2' models of family" in one_line(finished)
    finished = call_bisum(*missing, "adapter=lora")
    assert finished.code == 2
    assert "ctranslate2 does not support an adapter" in one_line(finished)
    finished = call_bisum("summarize", "generation.quantization=int8", "--", "A text")
    assert finished.code == 2
    assert "generation.quantization: int8 needs generation.engine=ctranslate2" in one_line(finished)


def test_auto_reports_that_ctranslate2_fails_to_start_and_uses_transformers(run_bisum, tmp_path, one_line):
    text, broken = "A package for reading files.", {"CT2_FORCE_CPU_ISA": "UNKNOWN"}
    command = ("summarize", "hardware=cpu", "--", text)
    finished = run_bisum(*command, cwd=tmp_path, env=broken)
    assert finished.code == 0
    assert "generation.engine: ctranslate2 failed to start (Invalid CPU ISA: UNKNOWN); transformers" in finished.err
    assert finished.out.strip() == Summarizer(overrides=["generation.engine=transformers"])(text, "en")
    finished = run_bisum("summarize", "generation.engine=ctranslate2", *command[1:], cwd=tmp_path, env=broken)
    assert finished.code == 2
    refusal = "ctranslate2 failed to start (Invalid CPU ISA: UNKNOWN); use generation.engine=transformers"
    assert refusal in one_line(finished)


def test_a_run_records_the_engine_that_generated(run_bisum, tmp_path):
    settings = ("hardware=cpu", "tracker=none", "corpus.max_eval_rows=4", "evaluation.bootstrap_samples=100")
    given = ("evaluate", *settings, f"hydra.run.dir={tmp_path}/run")
    assert run_bisum(*given, cwd=tmp_path, env={"CT2_FORCE_CPU_ISA": "UNKNOWN"}).code == 0
    assert json.loads((tmp_path / "run/run.json").read_text("utf-8"))["engine"] == "transformers"


def test_without_ctranslate2_auto_uses_transformers_and_a_request_is_refused():
    code = (
        "import sys; sys.modules['ctranslate2'] = None; import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'ctranslate2' else found(name, *a)\n"
        "from bisum import Summarizer\n"
        "print(Summarizer()('A package for reading files.', 'en'))\n"
        "Summarizer(overrides=['generation.engine=ctranslate2'])\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    text = "A package for reading files."
    assert finished.stdout.strip() == Summarizer(overrides=["generation.engine=transformers"])(text, "en")
    refusal = "ctranslate2 is not installed; run pip install 'bisum[fast]', or use generation.engine=transformers"
    assert finished.stderr.strip().endswith(refusal)


def test_training_records_the_same_scores_with_both_engines(tmp_path):
    small = ["corpus.max_train_rows=32", "corpus.max_eval_rows=8", "trainer.epochs=1", "tracker=none"]
    for engine in ("auto", "transformers"):
        train(compose([*small, "hardware=cpu", "log=quiet", f"generation.engine={engine}"]), tmp_path / engine)
    ours, theirs = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("auto", "transformers"))
    assert (ours["engine"], theirs["engine"]) == ("ctranslate2", "transformers")
    assert ours["versions"]["ctranslate2"] == version("ctranslate2")
    assert ours["test"] == theirs["test"]
    name = f"predictions/test-{ours['test']['checkpoint']}.jsonl"
    texts = [(tmp_path / engine / name).read_text("utf-8") for engine in ("auto", "transformers")]
    assert texts[0] == texts[1]
    assert len({json.loads(line)["prediction"] for line in texts[0].splitlines()}) > 4


@pytest.mark.parametrize(
    ("size", "difference"),
    [
        ("1", "ctranslate2 counts the start token"),
        ("3", "with beam search and banned n-grams"),
        ("null", "with beam search and banned n-grams"),
    ],
)
def test_settings_that_ctranslate2_interprets_differently_are_reported(run_bisum, tmp_path, size, difference):
    settings = ("generation.num_beams=2", f"generation.no_repeat_ngram_size={size}", "generation.engine=ctranslate2")
    finished = run_bisum("summarize", *settings, "hardware=cpu", "--", "A package for reading files.", cwd=tmp_path)
    assert finished.code == 0
    assert "generation.early_stopping: ctranslate2 ends beam search as with true, not false" in finished.err
    assert f"generation.no_repeat_ngram_size: {difference}" in finished.err


@pytest.mark.parametrize("family", PROVEN)
def test_probabilities_equal_those_of_transformers(prepare, family):
    """Scores decide between beams; wrong scales or epsilons would change them, but rarely a greedy summary."""
    loaded, inputs, _ = prepare(family)
    if hasattr(loaded.model.config, "layer_norm_epsilon"):
        set_epsilon(loaded.model, 0.01)
    start = int(loaded.model.config.decoder_start_token_id)
    target = [9, 8, 7, 6]
    mask = inputs["attention_mask"][:4].bool()
    sources = [[str(at) for at in ids[kept].tolist()] for ids, kept in zip(inputs["input_ids"], mask, strict=False)]
    translator = CTranslate2Engine(loaded, "none")._translation._translator
    scored = translator.score_batch(sources, [list(map(str, target))] * 4)
    with torch.no_grad():
        logits = loaded.model(
            input_ids=inputs["input_ids"][:4],
            attention_mask=inputs["attention_mask"][:4],
            decoder_input_ids=torch.tensor([[start, *target]] * 4),
        ).logits
    wanted = logits.log_softmax(-1)[:, : len(target)].gather(-1, torch.tensor([target] * 4)[..., None])[..., 0]
    found = torch.tensor([row.log_probs[: len(target)] for row in scored])
    assert found == pytest.approx(wanted.numpy(), abs=1e-3)


def set_epsilon(model, value):
    """Give a T5 another epsilon than the usual one."""
    model.config.layer_norm_epsilon = value
    for part in model.modules():
        if hasattr(part, "variance_epsilon"):
            part.variance_epsilon = value
