"""A trimmed vocabulary changes neither the pieces of the training texts nor the logits of the kept pieces."""

import json
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pytest
import torch
from checkpoints import BUILDERS
from checkpoints.tokenizers_of_hub import sentencepiece, sentencepiece_pieces
from family_rows import ROWS
from plain import Plain
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.evaluation.generation import set_decoding, summarize
from bisum.interfaces.progress import no_progress
from bisum.models.families import T5
from bisum.models.loading import load
from bisum.models.trimming import estimate, trim
from bisum.models.vocabulary.pieces import choose_pieces, state_of
from bisum.models.vocabulary.tokenizer import cut_tokenizer

REFUSED = {
    "byt5": "ByT5Tokenizer",
    "m2m100": "M2M100Tokenizer",
    "marian": "MarianTokenizer",
    "bart_chinese": "WordPiece",
}
TRIMMED = [family for family in BUILDERS if family not in REFUSED]
SEPARATE_HEAD = ("flan_t5", "mt5", "umt5")
UNSEEN = [
    "Ελληνικά και κυριλλικά: Русский язык, українська мова.",
    "中文字符 日本語のテキスト 한국어 العربية עברית हिन्दी ไทย",
    "emoji 👩‍👩‍👧 🏳️‍🌈 ✓ → ∑ ½ ② ﬁ ﬀ Ａｂｃ ℌ ℃ … ‚ „",
    "co\u0308mbining a\u0301\u0323 \u200d zero\u200bwidth \ufeff soft\u00adhyphen\ttab",
    "ÀÉÎÕÜ ŁŐŞŤ ßœæø ñandú ¿qué? «x» 100 % €5",
    "</s> <unk> <0x41> <extra_id_0>",
]


@pytest.fixture(scope="module")
def rows():
    return Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])


@pytest.fixture(scope="module")
def spanish(rows):
    """Spanish rows, which leave English pieces unused."""
    return rows["train"].filter(pc.equal(rows["train"]["language"], "es")).slice(0, 150)


def texts_of(table):
    return [text for column in ("document", "summary") for text in table[column].to_pylist()]


def texts_and_languages(table):
    return [table[column].to_pylist() for column in ("document", "summary", "language")]


@pytest.fixture(scope="module", params=TRIMMED)
def pair(request, checkpoints, loaded_as, rows, spanish, tmp_path_factory):
    """A trimmed model, the folder that it is saved in, the whole one in plain transformers and the change."""
    family = request.param
    small, change = trim(loaded_as(family), spanish, rows["validation"].slice(0, 50), no_progress)
    folder = tmp_path_factory.mktemp("trimmed")
    small.save(folder)
    return small, Plain(family, folder), Plain(family, checkpoints(family)), change


def test_training_texts_are_cut_as_before_and_no_text_has_new_unknown_tokens(pair, spanish):
    _, small, whole, change = pair
    assert change.kept == len(small.tokenizer) < len(whole.tokenizer)
    for text in [*texts_of(spanish), *(f"{text} " * 2 for text in texts_of(spanish)[:20])]:
        assert small.tokenizer.tokenize(text) == whole.tokenizer.tokenize(text)
    for text in UNSEEN:
        found, before = ([*plain.tokenizer.tokenize(text)].count(plain.tokenizer.unk_token) for plain in (small, whole))
        assert found <= before
        if not before:
            assert small.tokenizer.decode(small.tokenizer(text)["input_ids"]) == whole.tokenizer.decode(
                whole.tokenizer(text)["input_ids"]
            )


@torch.no_grad()
def test_logits_of_the_kept_pieces_are_those_of_the_whole_model(pair, spanish):
    _, small, whole, _ = pair
    pieces = small.tokenizer.convert_ids_to_tokens(range(len(small.tokenizer)))
    kept = whole.tokenizer.convert_tokens_to_ids(pieces)
    logits = []
    for plain in (small, whole):
        document = plain.document(spanish["document"][3].as_py(), "es")
        summary = plain.summary(spanish["summary"][3].as_py(), "es")
        if plain.is_causal:
            logits.append(plain.model(torch.tensor([document + summary])).logits)
        else:
            logits.append(plain.model(**plain.inputs(document), labels=torch.tensor([summary])).logits)
    assert logits[0].shape[-1] == len(pieces)
    assert torch.allclose(logits[0], logits[1][..., kept], rtol=0, atol=1e-5)


def test_embedding_and_head_stay_shared_or_separate(pair):
    small, plain, whole, change = pair
    embedding, head = plain.model.get_input_embeddings().weight, plain.model.get_output_embeddings().weight
    of_whole = whole.model.get_input_embeddings().weight, whole.model.get_output_embeddings().weight
    assert torch.equal(embedding, head) == torch.equal(*of_whole)
    assert plain.family not in SEPARATE_HEAD or not torch.equal(embedding, head)
    assert embedding.shape[0] == head.shape[0] == change.kept
    assert (embedding is head) == (of_whole[0] is of_whole[1])
    assert change.parameters == small.model.num_parameters() < change.parameters_before == whole.model.num_parameters()


def test_plain_transformers_generates_the_same_from_the_saved_model(pair, decoding):
    small, plain, _, _ = pair
    by_hand, options = decoding("greedy")
    set_decoding(small, options)
    rows = [row for row in ROWS if row[0] in ("en", "es")]
    texts = summarize(small, [text for _, text, _ in rows], [code for code, _, _ in rows], options, 5, "float32")
    ids = [plain.generate(plain.document(text, code), code, **by_hand) for code, text, _ in rows]
    assert texts == [plain.text(summary) for summary in ids]
    assert len(set(texts)) > 1


def test_the_whole_sample_is_cut_as_before_by_the_starters_tokenizer(rows, options, decoding):
    whole = load(options("pkg://bisum.assets.starter"), 1, "float32")
    _, greedy = decoding("greedy")
    documents, languages = (rows["validation"][name].to_pylist()[:24] for name in ("document", "language"))
    before = summarize(whole, documents, languages, greedy, 12, "float32")
    expected = estimate(whole, rows["train"], rows["validation"], no_progress)
    tokenizer = whole.tokenizer
    small, change = trim(whole, rows["train"], rows["validation"], no_progress)
    assert expected["kept"] == change.kept < change.of
    assert 0.99 < expected["validation"] == change.validation < 1
    assert 0.99 < change.validation < 1
    for text in texts_of(rows["train"]):
        assert small.tokenizer.tokenize(text) == tokenizer.tokenize(text)

    def is_cut_as_before(text):
        return small.tokenizer.tokenize(text) == tokenizer.tokenize(text)

    assert not all(map(is_cut_as_before, texts_of(rows["validation"])))
    after = summarize(small, documents, languages, greedy, 12, "float32")
    read_alike = [row for row, text in enumerate(documents) if is_cut_as_before(text)]
    assert len(read_alike) > 18
    differing = [row for row in read_alike if after[row] != before[row]]
    assert not any(is_cut_as_before(before[row]) for row in differing)  # the whole model wrote a dropped piece


@pytest.mark.parametrize("family", REFUSED)
def test_tokenizers_that_cannot_be_trimmed_exactly_are_refused(family, loaded_as, spanish):
    loaded = loaded_as(family)
    parameters = loaded.model.num_parameters()
    with pytest.raises(UserError, match=rf"^model\.trim_vocabulary: .*{REFUSED[family]}.*; set it to false$"):
        trim(loaded, spanish, spanish, no_progress)
    assert loaded.model.num_parameters() == parameters


def test_bytes_spell_scripts_that_the_corpus_lacks():
    special = ["<pad>", "</s>", "<unk>"]
    letters = [(letter, -9.0) for letter in "αβγδ中文"]
    pieces = [*((token, 0.0) for token in special), *((f"<0x{byte:02X}>", -15.0) for byte in range(256))]
    trained = sentencepiece_pieces(sentencepiece("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    backend = Tokenizer(models.Unigram([*pieces, *trained, *letters, ("αβ", -5.0)], unk_id=2, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    whole = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    used = whole("A small program β")["input_ids"]
    small = cut_tokenizer(whole, T5(), choose_pieces(state_of(whole), used))
    assert small.tokenize("A small program β") == whole.tokenize("A small program β")
    vocabulary = small.get_vocab()
    assert {"α", "β", "γ", "δ"} <= vocabulary.keys()
    assert vocabulary.keys().isdisjoint({"中", "文", "αβ"})
    for text in ("αβ 中文 program", "ж 👩"):
        assert small.unk_token not in small.tokenize(text)
        assert small.decode(small(text)["input_ids"]) == text
    assert small.tokenize("中") == ["▁", "<0xE4>", "<0xB8>", "<0xAD>"]


def test_a_bpe_keeps_the_steps_to_a_used_piece():
    # c a t: a+t is the first merge, then c+at; ca is not built on the way to cat.
    vocabulary = {piece: at for at, piece in enumerate(["c", "a", "t", "s", "at", "ca", "cat", "cats", "ts", "<e>"])}
    merges = [["a", "t"], ["c", "a"], ["t", "s"], ["c", "at"], ["cat", "s"]]
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "byte_fallback": False, "unk_token": None}
    state = {"model": model, "added_tokens": [{"id": 9, "content": "<e>"}]}
    kept = [list(vocabulary)[at] for at in choose_pieces(state, [vocabulary["cat"]])]
    assert kept == ["c", "a", "t", "s", "at", "cat", "<e>"]
    assert [list(vocabulary)[at] for at in choose_pieces(state, [vocabulary["cats"]])] == [*kept[:6], "cats", "<e>"]


def test_a_merge_with_an_unknown_option_is_refused(checkpoints):
    plain = Plain("bart", checkpoints("bart"))
    state = json.loads(plain.tokenizer.backend_tokenizer.to_str())
    state["model"]["dropout"] = 0.1
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), eos_token="</s>")
    with pytest.raises(UserError, match="dropout is not supported"):
        state_of(tokenizer)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_dropped_weights_leave_the_memory(checkpoints, options, spanish, tmp_path):
    folder = shutil.copytree(checkpoints("mt5"), tmp_path / "model")
    mapped = f"{folder}/model.safetensors"
    loaded = load(options(folder), 0, "float32")
    assert mapped in Path("/proc/self/maps").read_text()  # transformers maps a checkpoint instead of reading it
    trim(loaded, spanish, spanish, no_progress)
    assert mapped not in Path("/proc/self/maps").read_text()


def test_a_checkpoint_of_an_earlier_run_is_trimmed(loaded_as, spanish, decoding, tmp_path, options):
    loaded = loaded_as("t5")
    banned = set_decoding(loaded, decoding("greedy")[1]).suppress_tokens
    assert max(banned) >= len(loaded.tokenizer)  # with the embedding's padding, which no tokenizer has
    loaded.save(tmp_path)
    small, change = trim(load(options(tmp_path), 0, "float32"), spanish, spanish, no_progress)
    assert all(at < change.kept for at in small.model.generation_config.suppress_tokens)


def test_files_that_cannot_be_written_are_reported(loaded_as, spanish, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    loaded = loaded_as("t5")
    size, limits = loaded.model.config.vocab_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # fails as on a full disk
    try:
        with pytest.raises(UserError, match=rf"cannot be written to {re.escape(str(tmp_path))} \(.*too large"):
            trim(loaded, spanish, spanish, no_progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="cannot be written to"):
        trim(loaded, spanish, spanish, no_progress)
    assert loaded.model.config.vocab_size == size


def test_unknown_tokens_do_not_count_as_kept(loaded_as, spanish):
    loaded = loaded_as("t5")
    unread = spanish.slice(0, 1).set_column(1, "document", [["中文 字符 日本語 テキスト"]])
    ids = [id_ for column in ("input_ids", "labels") for id_ in loaded.encode(*texts_and_languages(unread))[column][0]]
    _, change = trim(loaded, spanish, unread, no_progress)
    assert ids.count(loaded.tokenizer.unk_token_id) > 0
    assert change.validation <= 1 - ids.count(loaded.tokenizer.unk_token_id) / len(ids)


@pytest.mark.parametrize("family", ["t5", "flan_t5", "mt5", "umt5", "bart", "mbart50"])
def test_the_estimate_is_what_trimming_saves(family, loaded_as, spanish):
    loaded = loaded_as(family)
    expected = estimate(loaded, spanish, spanish, no_progress)
    _, change = trim(loaded, spanish, spanish, no_progress)
    assert expected["kept"] == change.kept
    assert expected["parameters"] == pytest.approx(change.parameters_before - change.parameters, rel=0.05)
