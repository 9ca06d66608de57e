"""Chinese text that a BERT tokenizer decodes."""

import pytest
from transformers import BertTokenizer

from bisum.models.wordpiece import join_chinese


@pytest.mark.parametrize("text", ["他说：“你好”。", "—他说…", "火车一早开走", "𠀀𠀁"])
def test_chinese_text_survives_encoding_and_decoding(text, tmp_path):
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "train", *dict.fromkeys(text)]
    (tmp_path / "vocab.txt").write_text("\n".join(names), "utf-8")
    tokenizer = BertTokenizer(str(tmp_path / "vocab.txt"))
    decoded = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    assert " " in decoded
    assert join_chinese([decoded, "the train"], tokenizer) == [text, "the train"]
