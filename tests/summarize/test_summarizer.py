"""A summarizer returns the summaries of the run's evaluation and of transformers, in order, from the run alone."""

import json
import queue
import shutil
import threading
from pathlib import Path

import pytest
import torch

import bisum
from bisum import Summarizer
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.summarize.documents import Document


def read_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def home(checkpoints, tmp_path_factory):
    """A folder with a corpus, a checkpoint and `run`, trained from that checkpoint on that corpus."""
    home = tmp_path_factory.mktemp("home")
    (home / "corpus").mkdir()
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    for split, rows in sample.load(["en", "es"]).items():
        some = [*rows.to_pylist()[:24], *rows.to_pylist()[-24:]]
        (home / f"corpus/{split}.jsonl").write_text("\n".join(map(json.dumps, some)), "utf-8")
    shutil.copytree(checkpoints("mt5"), home / "mt5")
    arguments = [
        "corpus=files",
        *(f"corpus.{split}={home}/corpus/{split}.jsonl" for split in ("train", "validation", "test")),
        f"model.checkpoint={home}/mt5",
        "model.max_document_tokens=64",
        "model.max_summary_tokens=12",
        "trainer.epochs=1",
        "trainer.learning_rate=1e-4",
        "generation.no_repeat_ngram_size=2",
        "generation.engine=transformers",
        "evaluation.bootstrap_samples=100",
        "hardware=cpu",
        "tracker=none",
    ]
    bisum.train(bisum.compose(arguments), home / "run")
    return home


@pytest.fixture(scope="module")
def summarizer(home):
    return Summarizer(home / "run")


@pytest.fixture(scope="module")
def scored(home):
    """The rows of the test split with the run's predictions."""
    rows = read_lines(home / "run/predictions/test-epoch-1.jsonl")
    assert len({row["prediction"] for row in rows}) > 20  # distinct enough to reveal a wrong order
    return rows


def plain_summaries(checkpoint, texts, **options):
    """Return summaries by transformers alone, one text at a time."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    found = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        ids = model.generate(**inputs, max_new_tokens=12, no_repeat_ngram_size=2, do_sample=False, **options)
        found.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    return found


def test_summaries_match_the_run_and_transformers(home, summarizer, scored):
    texts = [row["document"] for row in scored]
    found = summarizer(texts)
    assert found == [row["prediction"] for row in scored]
    assert found == plain_summaries(home / "run/checkpoints/epoch-1", texts, num_beams=1)
    assert [summary for _, summary in summarizer.stream(texts)] == found
    assert summarizer(texts[0]) == found[0]


def test_overrides_replace_settings_of_the_run(home, scored):
    texts = [row["document"] for row in scored[:6]]
    summarizer = Summarizer(str(home / "run"), ["generation.num_beams=3", "generation.length_penalty=0.5"])
    beams = plain_summaries(home / "run/checkpoints/epoch-1", texts, num_beams=3, length_penalty=0.5)
    assert summarizer(texts) == beams != [row["prediction"] for row in scored[:6]]
    checkpoint = Summarizer(home / "run/checkpoints/epoch-1")
    assert checkpoint(texts) == [row["prediction"] for row in scored[:6]]


def test_run_needs_only_its_directory(home, scored, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(home / "run", tmp_path / "elsewhere")
    home.rename(away := home.with_name("away"))
    try:
        summarizer = Summarizer(tmp_path / "elsewhere")
        assert summarizer([row["document"] for row in scored]) == [row["prediction"] for row in scored]
    finally:
        away.rename(home)
    assert not (tmp_path / "cache").exists()


def test_blank_texts_bypass_the_model(summarizer, scored):
    calls = []
    hook = summarizer.loaded.model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        assert summarizer(["", " \n"]) == ["", ""]
        assert summarizer("") == ""
        assert summarizer([]) == []
        assert list(summarizer.stream(["", Document(text="\t")])) == [("", ""), (Document(text="\t"), "")]
        assert not calls
        texts = ["", scored[0]["document"], " "]
        assert summarizer(texts) == ["", scored[0]["prediction"], ""]
        assert calls
    finally:
        hook.remove()


def test_stream_yields_finished_summaries_before_it_waits_for_more(summarizer, scored):
    given = queue.Queue()

    def texts():
        while (text := given.get(timeout=60)) is not None:
            yield text

    stream = summarizer.stream(texts())
    for row in scored[:3]:
        given.put(row["document"])
        assert next(stream) == (
            row["document"],
            row["prediction"],
        )  # otherwise nobody puts the next text and get() raises Empty
    given.put(None)
    assert list(stream) == []


def test_long_stream_keeps_its_order_and_reads_only_a_little_ahead(home, scored):
    summarizer = Summarizer(home / "run", ["evaluation.batch_size=2"])
    taken = []

    def rows():
        for number in range(10**9):
            taken.append(number)
            row = scored[number % len(scored)]
            yield Document(text=row["document"], id=number, language=row["language"])

    stream = summarizer.stream(rows())
    for number, (document, summary) in zip(range(60), stream, strict=False):
        assert (document.id, summary) == (number, scored[number % len(scored)]["prediction"])
    assert len(taken) < 120
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "read ahead":
            thread.join(10)
            assert not thread.is_alive()


def test_error_while_reading_is_raised_after_the_preceding_summaries(summarizer, scored):
    def texts():
        yield scored[0]["document"]
        yield scored[1]["document"]
        raise ZeroDivisionError("of the caller's own")

    stream = summarizer.stream(texts())
    assert [next(stream)[1], next(stream)[1]] == [row["prediction"] for row in scored[:2]]
    with pytest.raises(ZeroDivisionError, match="of the caller's own"):
        next(stream)


def test_invalid_arguments_are_refused(summarizer, home):
    with pytest.raises(UserError, match="documents: expected text, not float"):
        summarizer(["one", float("nan")])
    with pytest.raises(UserError, match="documents: expected text, not NoneType"):
        list(summarizer.stream([None]))
    with pytest.raises(UserError, match="language: 1 codes for 2 documents"):
        summarizer(["one", "two"], language=["en"])
    with pytest.raises(UserError, match=r"^hardware\.device: "):
        Summarizer(home / "run", ["hardware=tpu"])
    with pytest.raises(UserError, match=r"^run: "):
        Summarizer(home / "nowhere")
    with pytest.raises(UserError, match=r"generation\.num_beam: no such key, did you mean 'num_beams'\?"):
        Summarizer(home / "run", ["generation.num_beam=2"])


def test_invalid_texts_and_language_codes_are_refused(summarizer, scored, home):
    for given in (b"abc", None, 5, {"a": 1}):
        with pytest.raises(UserError, match=rf"^documents: .* a list of texts, not {type(given).__name__}$"):
            summarizer(given)
    with pytest.raises(UserError, match=r"^documents: .* a list of texts, not str$"):
        list(summarizer.stream("abc"))
    with pytest.raises(UserError, match=r"lone surrogate"):
        summarizer("a \ud800 b")
    for language in (5, [5]):
        with pytest.raises(UserError, match=r"^language: expected a code such as es.* not int$"):
            summarizer(["a text"], language=language)
    with pytest.raises(UserError, match=r"^overrides: expected a list of strings"):
        Summarizer(home / "run", "generation.num_beams=2 seed=3")

    stream = summarizer.stream([scored[0]["document"], Document(text="a \udc00 b", place="row 2"), "a text"])
    assert next(stream)[1] == scored[0]["prediction"]
    with pytest.raises(UserError, match=r"^row 2: documents: .*lone surrogate"):
        next(stream)


def test_precision_follows_the_hardware_settings(home, scored):
    seen = set()
    for precision in ("float32", "bf16"):
        summarizer = Summarizer(home / "run", [f"hardware.precision={precision}"])
        layer = summarizer.loaded.model.encoder.block[0].layer[0].SelfAttention.q
        layer.register_forward_hook(lambda module, inputs, output: seen.add((precision, output.dtype)))  # noqa: B023
        summarizer(scored[0]["document"])
    assert seen == {("float32", torch.float32), ("bf16", torch.bfloat16)}


def test_model_that_requires_a_language(checkpoints):
    arguments = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu"]
    several = Summarizer(checkpoints("mbart50"), [*arguments, "languages=[en,es]"])
    texts = ["A library that reads files.", "Una biblioteca que lee ficheros."]
    assert several.language is None
    in_english, in_spanish = several(texts, language="en"), several(texts, "es")
    assert in_english != in_spanish
    assert several(texts, language=["en", "es"]) == [in_english[0], in_spanish[1]]
    with pytest.raises(UserError, match=r"^language: .*language=.* en, es$"):
        several(texts)
    assert several(["", " "]) == ["", ""]

    one = Summarizer(checkpoints("mbart50"), [*arguments, "languages=[es]"])
    assert one.language == "es"
    assert one(texts) == in_spanish
    overridden = Summarizer(checkpoints("mbart50"), [*arguments, "languages=[es]", "language=en"])
    assert overridden(texts) == in_english
    with pytest.raises(UserError, match="tlh") as error:
        one(texts, language="tlh")
    assert "es" in str(error.value)

    documents = [
        Document(text=texts[0], language="en", place="a.jsonl, line 1"),
        Document(text="", place="a.jsonl, line 2"),
        Document(text=texts[1], place="a.jsonl, line 3"),
    ]
    assert [summary for _, summary in one.stream(documents)] == [in_english[0], "", in_spanish[1]]
    stream = several.stream(documents)
    assert [next(stream)[1], next(stream)[1]] == [in_english[0], ""]
    with pytest.raises(UserError, match=r"^a\.jsonl, line 3: language: "):
        next(stream)


def test_summarizer_is_created_from_a_checked_configuration(checkpoints):
    config = bisum.compose([f"model.checkpoint={checkpoints('t5')}", "model.max_document_tokens=64", "hardware=cpu"])
    summary = Summarizer.from_config(config)("A library that reads files.")
    assert summary == Summarizer(checkpoints("t5"), ["model.max_document_tokens=64"])("A library that reads files.")
    assert summary


def test_without_a_run_the_starter_or_an_overriding_model_is_loaded(checkpoints):
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "generation.no_repeat_ngram_size=2"]
    texts = ["A library that reads files.", "Una biblioteca que lee ficheros."]
    starter = Summarizer(overrides=limits)
    assert starter(texts) == plain_summaries(Path(bisum.__file__).parent / "assets" / "starter", texts)
    assert Summarizer().config.model == bisum.compose().model
    named = Summarizer(overrides=[*limits, f"model.checkpoint={checkpoints('mt5')}"])
    assert named(texts) == Summarizer(checkpoints("mt5"), limits)(texts) != starter(texts)
