"""Each family encodes, trains and generates like the plain transformers calls of tests/plain.py."""

import copy
import json
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
import torch
from checkpoints import BUILDERS, PROMPTS
from family_rows import DECODING, DOCUMENTS, LANGUAGES, ROWS, encoded, refusal
from own_families import Instructed
from plain import LANGUAGE_TOKENS, T5_FAMILY, Plain

from bisum.batches.collation import Collator
from bisum.batches.shapes import choose_shapes
from bisum.batches.tokenization import EncodedSplit
from bisum.evaluation.generation import generate, set_decoding, summarize
from bisum.models.families import T5, DecoderOnly
from bisum.models.loading import load
from bisum.models.loss import count_tokens, token_loss


@pytest.fixture(scope="module", params=BUILDERS)
def pair(request, checkpoints, loaded_as):
    """A model in bisum, and the same model in plain transformers."""
    return loaded_as(request.param), Plain(request.param, checkpoints(request.param))


def test_token_ids_equal_the_tokenizers(pair):
    loaded, plain = pair
    columns = encoded(loaded)
    documents = [plain.document(text, language) for language, text, _ in ROWS]
    assert columns["input_ids"] == documents
    assert columns["labels"] == [plain.summary(text, language) for language, _, text in ROWS]
    cut = columns["document_cut"]
    uncut = copy.copy(plain)
    uncut.document_tokens = 10_000
    assert cut == [ids != uncut.document(text, code) for ids, (code, text, _) in zip(documents, ROWS, strict=True)]
    assert cut[4]
    assert not all(cut)
    assert all(len(ids) == 64 for ids, was_cut in zip(documents, cut, strict=True) if was_cut)
    whole = encoded(replace(loaded, max_summary_tokens=100))["labels"]
    assert columns["summary_cut"] == [ids != all_ids for ids, all_ids in zip(columns["labels"], whole, strict=True)]
    assert 0 < sum(columns["summary_cut"]) < len(ROWS)


def test_batch_loss_matches_single_rows(pair):
    loaded, plain = pair
    texts = zip(*(encoded(loaded)[name] for name in ("input_ids", "labels")), strict=True)
    batch = Collator(loaded)([{"input_ids": document, "labels": summary} for document, summary in texts])
    labels = batch.pop("labels")
    loaded.model.eval()
    with torch.no_grad():
        loss = token_loss(loaded.model(**batch).logits, labels, count_tokens(labels)).item()
    summaries = [plain.summary(text, language) for language, _, text in ROWS]
    losses = [
        plain.loss(plain.document(text, language), summary)
        for (language, text, _), summary in zip(ROWS, summaries, strict=True)
    ]
    assert count_tokens(labels) == sum(map(len, summaries))
    assert loss == pytest.approx(sum(losses) / sum(map(len, summaries)), rel=1e-5)


@pytest.mark.parametrize("name", DECODING)
def test_batch_summaries_match_single_rows(name, pair, decoding):
    loaded, plain = pair
    by_hand, options = decoding(name)
    ids = [plain.generate(plain.document(text, language), language, **by_hand) for language, text, _ in ROWS]
    texts = [plain.text(summary) for summary in ids]
    assert len(set(texts)) > len(ROWS) / 2
    if name == "greedy":
        assert summarize(loaded, DOCUMENTS, LANGUAGES, options, 5, "float32") == texts
        return
    split = EncodedSplit.from_lists(pa.table({"document": DOCUMENTS}), encoded(loaded))
    batches = list(generate(loaded, split, options, 5))
    rows = [row for batch in batches for row in batch.rows]
    assert sorted(rows) == list(range(len(ROWS)))
    assert [text for batch in batches for text in batch.summaries] == [texts[row] for row in rows]
    assert [length for batch in batches for length in batch.lengths] == [len(ids[row]) for row in rows]


@pytest.mark.parametrize(
    ("family", "name"), [("t5", "greedy"), *((family, "beams") for family in BUILDERS if family not in PROMPTS)]
)
def test_fixed_shapes_force_and_ban_the_same_tokens(family, name, loaded_as, decoding):
    """Tokens do not repeat in a summary, each row has its own first token, and the longest labels fit."""
    loaded, options = loaded_as(family), replace(decoding(name)[1], no_repeat_ngram_size=1, min_tokens=3)
    split = EncodedSplit.from_lists(pa.table({"document": DOCUMENTS}), encoded(loaded))
    fitted = choose_shapes([split.documents.lengths], loaded, 2)
    plain, fixed = (
        {
            row: (text, length)
            for batch in generate(loaded, split, options, 3, shapes=shapes)
            for row, text, length in zip(batch.rows, batch.summaries, batch.lengths, strict=True)
        }
        for shapes in (None, fitted)
    )
    assert max(map(len, encoded(loaded)["labels"])) == fitted.summary_length
    assert fixed == plain
    assert len({text for text, _ in plain.values()}) > len(ROWS) / 2


@pytest.mark.parametrize("family", PROMPTS)
def test_ngram_ban_ignores_the_document(family, checkpoints, loaded_as, decoding):
    """Words of the document can appear in the summary."""
    loaded, plain = loaded_as(family), Plain(family, checkpoints(family))
    options = replace(decoding("greedy")[1], no_repeat_ngram_size=1)
    ends = {plain.tokenizer.eos_token_id, plain.tokenizer.convert_tokens_to_ids("<|endoftext|>")}
    texts = []
    for language, document, _ in ROWS:
        prompt, summary = plain.document(document, language), []
        while len(summary) < 12 and not ends & set(summary):
            with torch.no_grad():
                logits = plain.model(torch.tensor([prompt + summary])).logits[0, -1]
            logits[summary] = -torch.inf
            summary.append(int(logits.argmax()))
        texts.append(plain.text(summary))
    assert summarize(loaded, DOCUMENTS, LANGUAGES, options, 3, "float32") == texts


@pytest.mark.parametrize("family", ["bart", "kobart", "mbart50", "nllb"])
def test_decoder_that_starts_with_the_end_token_can_still_end(family, checkpoints, loaded_as, decoding):
    """Tokens do not repeat in a summary, and the start token is not part of it."""
    loaded, plain = loaded_as(family), Plain(family, checkpoints(family))
    options, end = replace(decoding("greedy")[1], no_repeat_ngram_size=1), plain.tokenizer.eos_token_id
    for model in (loaded.model, plain.model):
        model.get_output_embeddings().weight.data[end] *= 2
    texts, lengths = [], []
    for language, document, _ in ROWS:
        ids = torch.tensor([plain.document(document, language)])
        tokens = LANGUAGE_TOKENS.get(family)
        starts = [end, plain.tokenizer.convert_tokens_to_ids(tokens[language])] if tokens else [end]
        summary = [plain.tokenizer.bos_token_id] if family == "bart" else []  # BART's first token is forced
        while end not in summary:
            with torch.no_grad():
                logits = plain.model(input_ids=ids, decoder_input_ids=torch.tensor([starts + summary])).logits[0, -1]
            logits[summary] = -torch.inf
            at_limit = len(summary) == 11 and plain.model.generation_config.forced_eos_token_id is not None
            summary.append(end if at_limit else int(logits.argmax()))
            if len(summary) == 12:
                break
        texts.append(plain.text(summary))
        lengths.append(len(summary))
    assert min(lengths) < 12
    assert summarize(loaded, DOCUMENTS, LANGUAGES, options, 3, "float32") == texts


def test_sentinels_are_recognized_in_both_forms():
    """T5's are special tokens; mT5's are ordinary pieces, which begin with the word-start mark."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "▁word", "▁<extra_id_1>", "▁<extra_id_0>", "<extra_id_7>", "<extra_id_>", "▁extra_id_3"]
    backend = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")
    assert T5().suppressed_tokens(tokenizer, 10) == [3, 4, 5, 8, 9]


@pytest.mark.parametrize(("family", "name"), [("t5", "greedy"), ("mt5", "beams"), ("umt5", "beams"), ("byt5", "beams")])
def test_sentinels_are_never_generated(family, name, checkpoints, loaded_as, decoding):
    loaded, plain = loaded_as(family), Plain(family, checkpoints(family))
    by_hand, options = decoding(name)
    sentinels = plain.never_generated()
    for model in (loaded.model, plain.model):
        model.get_output_embeddings().weight.data[sentinels] *= 50
    inputs = plain.tokenizer(DOCUMENTS[1], return_tensors="pt")
    (biased,) = plain.model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert set(biased[1:].tolist()) <= {*sentinels, 1}
    documents = [plain.document(text, language) for language, text, _ in ROWS]
    texts = [plain.text(plain.generate(ids, "", **by_hand)) for ids in documents]
    assert len(set(texts)) > len(ROWS) / 2
    assert summarize(loaded, DOCUMENTS, LANGUAGES, options, 5, "float32") == texts
    # The saved checkpoint generates in the same way.
    set_decoding(loaded, options)
    assert not set(loaded.model.generate(**inputs)[0].tolist()) & set(sentinels)


def test_marians_padding_is_never_generated(checkpoints, loaded_as, decoding):
    loaded, plain = loaded_as("marian"), Plain("marian", checkpoints("marian"))
    pad = plain.tokenizer.pad_token_id
    for model in (loaded.model, plain.model):
        model.final_logits_bias[0, pad] += 50
    ids = [plain.generate(plain.document(text, ""), "", **decoding("beams")[0]) for text in DOCUMENTS]
    assert not any(pad in summary for summary in ids)
    assert summarize(loaded, DOCUMENTS, LANGUAGES, decoding("beams")[1], 5, "float32") == [plain.text(s) for s in ids]
    set_decoding(loaded, decoding("greedy")[1])
    inputs = plain.inputs(plain.document(DOCUMENTS[1], ""))
    assert pad not in loaded.model.generate(**inputs)[0, 1:]
    plain.model.generation_config.bad_words_ids = None  # the checkpoint's own, without which it is generated
    assert pad in plain.model.generate(**inputs, max_new_tokens=12, num_beams=1)[0, 1:]


@pytest.mark.parametrize("family", ["t5", "led", "marian", "nllb", "mbart50", "chat"])
def test_saved_checkpoint_contains_the_configured_decoding(family, loaded_as, decoding, tmp_path):
    loaded, usual = loaded_as(family), decoding("greedy")[1]
    beam_options = {"num_beams": 3, "length_penalty": 0.4, "early_stopping": "never", "no_repeat_ngram_size": 2}
    set_decoding(loaded, replace(usual, **beam_options, min_tokens=5))
    loaded.save(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text("utf-8"))
    forced = 1 if family in LANGUAGE_TOKENS else 0  # the language
    expected = {**beam_options, "min_new_tokens": 5 + forced, "max_new_tokens": 12 + forced, "do_sample": False}
    assert {name: saved[name] for name in expected} == expected
    leaks = {"temperature", "top_p", "max_length", "min_length", "forced_bos_token_id", "renormalize_logits"}
    assert not leaks & set(saved)

    set_decoding(loaded, replace(usual, num_beams=1, no_repeat_ngram_size=0, min_tokens=0))
    loaded.save(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text("utf-8"))
    assert (saved["num_beams"], saved["no_repeat_ngram_size"], saved["max_new_tokens"]) == (1, 0, 12 + forced)
    assert not {"min_new_tokens", "length_penalty", "early_stopping"} & set(saved)


@dataclass(frozen=True, kw_only=True)
class WholePrompt(DecoderOnly):
    """Writes the whole prompt, and needs no suffix or prefix."""

    def check_prompt(self, reader):
        pass

    def encode(self, reader, documents, summaries, languages):
        return super().encode(reader, [f"{text} In short:" for text in documents], summaries, languages)


def test_own_family_can_write_the_whole_prompt(checkpoints, options):
    loaded = load(options(checkpoints("gpt2"), family=WholePrompt()), 42, "float32")
    assert loaded.encode(["Games."], [""], ["en"])["input_ids"] == [loaded.tokenizer("Games. In short:")["input_ids"]]
    message = refusal(lambda: load(options(checkpoints("gpt2")), 42, "float32"))
    assert message.startswith("model.suffix: ")


def test_error_in_an_own_family_is_reported_in_one_line(loaded_as, decoding):
    loaded = replace(loaded_as("mt5"), family=Instructed(instructions={"en": "Summarize:", "es": "Resume:"}))
    message = refusal(lambda: summarize(loaded, DOCUMENTS, LANGUAGES, decoding("greedy")[1], 3, "float32"))
    assert message == "model.family: Instructed fails on texts in de, en, es: KeyError: 'de'"
    assert all(summarize(loaded, DOCUMENTS[:2], LANGUAGES[:2], decoding("greedy")[1], 3, "float32"))


def test_limit_above_the_positions_is_reported_as_configured(loaded_as):
    message = refusal(lambda: loaded_as("mbart50", max_summary_tokens=1_000_000))
    assert message.startswith("model.max_summary_tokens: 1000000 exceeds the model's 128 positions")


LIMITS = {
    "bart": (128, 128),
    "mbart50": (128, 127),
    "pegasus": (128, 128),
    "led": (512, 128),
    "marian": (128, 128),
    "t5gemma2": (128, 128),
    "gpt2": (236, 20),
    "chat": (492, 20),
}


@pytest.mark.parametrize("family", LIMITS)
def test_positions_bound_the_limits(family, loaded_as, decoding):
    """The largest limits work when both are exhausted; one more token is refused."""
    document, summary = LIMITS[family]
    loaded = loaded_as(family, max_document_tokens=document, max_summary_tokens=summary)
    columns = loaded.family.encode(loaded, ["editor de texto " * 300], ["editor de texto " * 300], ["es"])
    assert document - 2 <= len(columns["input_ids"][0]) <= document
    batch = Collator(loaded)([{"input_ids": columns["input_ids"][0], "labels": columns["labels"][0]}])
    del batch["labels"]
    loaded.model(**batch)
    to_the_end = replace(decoding("greedy")[1], min_tokens=summary - 1)
    assert summarize(loaded, ["editor de texto " * 300], ["es"], to_the_end, 1, "float32")

    message = refusal(lambda: loaded_as(family, max_document_tokens=document + 1, max_summary_tokens=summary))
    assert message.startswith("model.max_document_tokens: ")
    assert str(document + 1) in message
    assert {"gpt2": "256", "chat": "512", "led": "512"}.get(family, "128") in message
    message = refusal(lambda: loaded_as(family, max_document_tokens=document, max_summary_tokens=summary + 1))
    assert "model.max_summary_tokens" in message


@pytest.mark.parametrize("family", BUILDERS)
def test_fp16_is_refused_where_it_overflows(family, checkpoints, options):
    def in_fp16():
        return load(options(checkpoints(family), **PROMPTS.get(family, {})), 42, "fp16")

    if family in (*T5_FAMILY, "pegasus", "t5gemma", "t5gemma2"):
        message = refusal(in_fp16)
        assert message.startswith("hardware.precision: ")
        assert "overflow" in message
    else:
        in_fp16()
