"""Models of kinds that have no family of their own: used with a general class, or refused in one line."""

import logging
import shutil

import pytest
import torch
from checkpoints import WIDTHS
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    BigBirdPegasusConfig,
    BigBirdPegasusForConditionalGeneration,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    LlamaConfig,
    LlamaForCausalLM,
    PegasusXConfig,
    PegasusXForConditionalGeneration,
    PLBartConfig,
    PLBartForConditionalGeneration,
    ProphetNetConfig,
    ProphetNetForConditionalGeneration,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
    WhisperConfig,
)

from bisum import compose
from bisum.errors import UserError
from bisum.evaluation.generation import summarize
from bisum.models.families import Bart, DecoderOnly, EncoderDecoder, LanguageTokens, Pegasus
from bisum.models.loading import load, load_reader

BART_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
T5_IDS = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
DOCUMENTS = ["A text editor that highlights the syntax of many languages.", "El niño está aquí."]


def plbart(size):
    return PLBartForConditionalGeneration(PLBartConfig(vocab_size=size, **WIDTHS, **BART_IDS))


def pegasus_x(size):
    config = PegasusXConfig(vocab_size=size, block_size=16, num_global_tokens=4, **WIDTHS, **T5_IDS)
    return PegasusXForConditionalGeneration(config)


def switch(size):
    layers = {f"num_{part}layers": number for part, number in (("", 2), ("decoder_", 2), ("sparse_encoder_", 1))}
    config = SwitchTransformersConfig(
        vocab_size=size, d_model=32, d_kv=16, d_ff=64, num_heads=2, num_experts=2, **layers, **T5_IDS
    )
    return SwitchTransformersForConditionalGeneration(config)


def bert2bert(size):
    sides = [BertConfig(vocab_size=size, max_position_embeddings=128, **SMALL) for _ in range(2)]
    model = EncoderDecoderModel(config=EncoderDecoderConfig.from_encoder_decoder_configs(*sides))
    model.config.update({**BART_IDS, "decoder_start_token_id": 0})
    return model


def llama(size):
    ids = {"bos_token_id": size - 1, "eos_token_id": size - 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=size, max_position_embeddings=256, **SMALL, **ids))


@pytest.fixture
def built(checkpoints, tmp_path):
    """Write a random model with the tokenizer of one of tests/checkpoints.py."""

    def write(build, family):
        folder = shutil.copytree(checkpoints(family), tmp_path / "model")
        for name in ("model.safetensors", "config.json", "generation_config.json"):
            (folder / name).unlink()
        tokenizer = AutoTokenizer.from_pretrained(checkpoints(family))
        tokenizer.save_pretrained(folder)
        torch.manual_seed(3)
        build(len(tokenizer)).save_pretrained(folder)
        return folder

    return write


@pytest.mark.parametrize(
    ("build", "tokenizer", "family"),
    [
        (plbart, "bart", EncoderDecoder),
        (pegasus_x, "pegasus", Pegasus),
        (switch, "t5", EncoderDecoder),
        (bert2bert, "bart", EncoderDecoder),
        (llama, "gpt2", DecoderOnly),
    ],
)
def test_an_untested_kind_is_used_with_a_general_family(build, tokenizer, family, built, options, caplog):
    folder = built(build, tokenizer)
    with caplog.at_level(logging.WARNING, logger="bisum"):
        loaded = load(options(folder, suffix="\nTL;DR:" if family is DecoderOnly else None), 42, "float32")
    assert type(loaded.family) is family
    kind = loaded.config.model_type
    assert f"tests do not cover '{kind}' models; {family.__name__} reads this one, so check its summ" in caplog.text
    found = summarize(loaded, DOCUMENTS, ["en", "es"], compose().generation, 2)

    auto_model = AutoModelForCausalLM if family is DecoderOnly else AutoModelForSeq2SeqLM
    model, own = auto_model.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, summary in zip(DOCUMENTS, found, strict=True):
        ids = own(f"{text}\nTL;DR:" if family is DecoderOnly else text, return_tensors="pt")["input_ids"]
        options_of = {"max_new_tokens": 12, "do_sample": False, "num_beams": 1, "attention_mask": torch.ones_like(ids)}
        if family is DecoderOnly:
            options_of["pad_token_id"] = own.eos_token_id
        else:
            names = ("decoder_start_token_id", "eos_token_id", "pad_token_id")
            options_of |= {name: getattr(model.config, name) for name in names}
        output = model.generate(ids, **options_of)[0, ids.shape[1] if family is DecoderOnly else 0 :]
        assert own.decode(output, skip_special_tokens=True).strip() == summary


def test_a_kind_that_fails_on_a_short_text_is_refused_in_one_line(built, options):
    parts = {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_encoder_layers": 1, "num_decoder_layers": 1}
    heads = {"num_encoder_attention_heads": 2, "num_decoder_attention_heads": 2}
    folder = built(
        lambda size: ProphetNetForConditionalGeneration(
            ProphetNetConfig(vocab_size=size, hidden_size=32, max_position_embeddings=128, **parts, **heads, **BART_IDS)
        ),
        "bart",
    )
    with pytest.raises(UserError) as raised:
        load(options(folder), 42, "float32")
    assert str(raised.value).startswith("model.checkpoint: bisum cannot use 'prophetnet' models with EncoderDecoder (")
    assert "\n" not in str(raised.value)


def test_the_trial_does_not_change_the_attention_of_bigbird(built, options):
    sizes = {"block_size": 4, "num_random_blocks": 1, "attention_type": "block_sparse"}
    config = {**WIDTHS, **T5_IDS, **sizes}
    folder = built(
        lambda size: BigBirdPegasusForConditionalGeneration(BigBirdPegasusConfig(vocab_size=size, **config)), "pegasus"
    )
    loaded = load(options(folder), 42, "float32")
    assert loaded.model.model.encoder.attention_type == "block_sparse"


def test_mbart_without_language_tokens_is_read_like_bart(checkpoints, options, caplog):
    with caplog.at_level(logging.WARNING, logger="bisum"):
        loaded = load(options(checkpoints("barthez")), 42, "float32")
    assert type(loaded.family) is Bart
    assert "without language tokens; Bart reads the model, not LanguageTokens" in caplog.text


def test_an_encoder_that_calls_itself_causal_is_refused(built, options):
    """BERT without `is_decoder` attends to the tokens that it should predict."""

    def build(size):
        return BertLMHeadModel(BertConfig(vocab_size=size, max_position_embeddings=128, pad_token_id=1, **SMALL))

    with pytest.raises(UserError, match=r"cannot use 'bert' models with DecoderOnly \("):
        load(options(built(build, "bart"), suffix="\nTL;DR:"), 42, "float32")


def test_an_own_family_is_never_replaced(checkpoints, options):
    own = LanguageTokens()
    loaded = load_reader(options(checkpoints("barthez"), family=own))
    assert loaded.family is own


@pytest.mark.parametrize("config", [BertConfig(**SMALL), WhisperConfig(d_model=32)])
def test_a_model_that_reads_or_writes_no_text_is_refused(config, options, tmp_path):
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"is a '{config.model_type}' model, which is neither an encoder-decoder nor a"):
        load(options(tmp_path), 42, "float32")
