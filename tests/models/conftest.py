"""Checkpoint directories with random weights, as `save_pretrained` writes them.

Libraries are imported in the fixtures: this file is read before tests/conftest.py has set their environment.
"""

from pathlib import Path

import pytest

import bisum.models.tiny
from bisum.corpus.sources import Sample

T5_SIZES = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.1}
T5_IDS = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


@pytest.fixture(scope="session")
def sample_texts():
    return Sample(max_train_rows=None, max_eval_rows=None).load(["en", "es"])["validation"]["document"].to_pylist()


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(Path(bisum.models.tiny.__file__).parent)


@pytest.fixture(scope="session")
def t5(tmp_path_factory, tiny_tokenizer) -> Path:
    """A T5 that states a prefix, stored in bfloat16."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=8000,
        task_specific_params={"summarization": {"prefix": "summarize: ", "num_beams": 4}},
        **T5_SIZES,
        **T5_IDS,
    )
    T5ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mt5(tmp_path_factory, tiny_tokenizer) -> Path:
    """An mT5 whose head is not its embedding."""
    import torch
    from transformers import MT5Config, MT5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("mt5")
    torch.manual_seed(1)
    model = MT5ForConditionalGeneration(MT5Config(vocab_size=8000, **T5_SIZES, **T5_IDS))
    model.lm_head.weight = torch.nn.Parameter(torch.randn(8000, 32) * 0.5)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bart(tmp_path_factory, sample_texts) -> Path:
    """A BART with 128 positions and a byte-level BPE of its own."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bart")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(sample_texts, vocab_size=600, special_tokens=special, show_progress=False)
    backend = bpe._tokenizer
    backend.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(2)
    sizes = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in {"layers": 1, "ffn_dim": 32, "attention_heads": 2}.items()
    }
    BartForConditionalGeneration(
        BartConfig(vocab_size=len(tokenizer), d_model=32, max_position_embeddings=128, **sizes)
    ).save_pretrained(folder)
    return folder
