import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import bisum
from bisum.assets.tiny.make_tokenizer import main
from bisum.corpus.sample import Sample

FOLDER = Path(bisum.__file__).parent / "assets" / "tiny"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


def test_special_tokens_follow_t5(tokenizer):
    assert len(tokenizer) == 8_000
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token) == ("<pad>", "</s>", "<unk>")
    assert not [piece for piece in tokenizer.get_vocab() if "extra_id" in piece]
    assert tokenizer("").input_ids == [1]
    assert tokenizer("año").input_ids[-1] == 1


def test_accents_survive_a_round_trip(tokenizer):
    text = "El niño está aquí: mañana, año nuevo."
    ids = tokenizer(text).input_ids
    assert 2 not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_accents_and_case_change_the_tokens(tokenizer):
    assert tokenizer("año").input_ids != tokenizer("ano").input_ids
    assert tokenizer("Linux").input_ids != tokenizer("linux").input_ids


def test_white_space_and_compatibility_forms_are_normalized(tokenizer):
    # An n with a combining tilde, a no-break space, a line break and a ligature.
    assert tokenizer(" an\u0303o\u00a0nuevo\n \ufb01n ").input_ids == tokenizer("año nuevo fin").input_ids


def test_training_text_has_no_unknown_pieces(tokenizer):
    train = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]
    for column in ("document", "summary"):
        assert not any(2 in ids for ids in tokenizer(train[column].to_pylist()).input_ids)


@pytest.mark.slow
def test_training_again_yields_the_same_pieces(tmp_path):
    main(tmp_path)
    one, other = (json.loads((folder / "tokenizer.json").read_text("utf-8")) for folder in (FOLDER, tmp_path))
    assert one == other
