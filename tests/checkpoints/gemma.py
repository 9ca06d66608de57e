"""T5Gemma and T5Gemma 2."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from checkpoints.tokenizers_of_hub import gemma
from checkpoints.weights import randomize

IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
"""The configurations state no decoder_start_token_id: decoding starts with <bos>."""
WIDTHS = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 128,
}  # fmt: skip
TURNS = ["<start_of_turn>", "<end_of_turn>"]
Built = tuple[PreTrainedModel, dict[str, Any]]


def t5gemma(folder: Path) -> Built:
    """T5Gemma: sliding and full attention, soft caps, and a configuration for the encoder and the decoder each."""
    from transformers import T5GemmaConfig, T5GemmaForConditionalGeneration

    part = {"vocab_size": len(gemma(folder, TURNS)), **WIDTHS, **IDS}
    config = T5GemmaConfig(encoder=part, decoder=dict(part), vocab_size=part["vocab_size"], **IDS)
    return randomize(T5GemmaForConditionalGeneration(config), 1, embedding=0.04, ends=3), IDS


def t5gemma2(folder: Path) -> Built:
    """T5Gemma 2: an image encoder that texts do not use, and one attention for the summary and the document."""
    from transformers import T5Gemma2Config, T5Gemma2ForConditionalGeneration

    tokenizer = gemma(folder, [*TURNS, "<start_of_image>", "<end_of_image>", "<image_soft_token>"])
    start, end, image = tokenizer.convert_tokens_to_ids(["<start_of_image>", "<end_of_image>", "<image_soft_token>"])
    part = {"vocab_size": len(tokenizer), **WIDTHS, **IDS}
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 1, "image_size": 28, "patch_size": 14, "vision_use_head": False,
    }  # fmt: skip
    encoder = {"text_config": part, "vision_config": vision, "mm_tokens_per_image": 4}
    encoder |= {"boi_token_index": start, "eoi_token_index": end, "image_token_index": image}
    config = T5Gemma2Config(encoder=encoder, decoder=dict(part), image_token_index=image, **IDS)
    return randomize(T5Gemma2ForConditionalGeneration(config), 1, embedding=0.04, ends=3), IDS
