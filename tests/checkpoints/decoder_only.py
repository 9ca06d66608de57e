"""GPT-2, and an instruction-tuned model with a chat template."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from checkpoints.tokenizers_of_hub import byte_bpe
from checkpoints.weights import randomize

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
Built = tuple[PreTrainedModel, dict[str, Any]]


def gpt2(folder: Path) -> Built:
    """GPT-2: <|endoftext|> as its only special token, no padding token, 256 learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_bpe(folder, "GPT2Tokenizer", [], ["<|endoftext|>"])
    end = len(tokenizer) - 1
    ids = {"bos_token_id": end, "eos_token_id": end}
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=1, n_head=2, **ids)
    return randomize(GPT2LMHeadModel(config), ids["eos_token_id"]), ids


def chat(folder: Path) -> Built:
    """Qwen2 Instruct: ChatML, turns that end with <|im_end|>, and <|endoftext|> for padding."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": special[1:]}
    tokenizer = byte_bpe(folder, "Qwen2Tokenizer", [], special, {**ends, "chat_template": CHATML})
    pad, end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    ids = {"bos_token_id": pad, "eos_token_id": end}
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    generation = {"pad_token_id": pad, "eos_token_id": [end, pad], "do_sample": True, "temperature": 0.7, "top_p": 0.8}
    return randomize(Qwen2ForCausalLM(config), ids["eos_token_id"]), {**ids, **generation}
