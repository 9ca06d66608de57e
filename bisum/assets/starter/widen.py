"""Widen a run's T5 without changing what it computes: `python -m bisum.assets.starter.widen RUN OUT`.

A small model learns to attend to its document in minutes; a wider one needs much longer. So the starter was trained
small first. The wider model has the small one's weights, and further ones without an effect at first: layers read the
new dimensions through random weights and write zeros into them, so training can change both. The method is that of
Net2Net (Chen et al. 2016, https://arxiv.org/abs/1511.05641), with new units instead of copied ones.
"""

from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, T5Config, T5ForConditionalGeneration

from bisum.assets.script import best_checkpoint, script

D_MODEL, D_FF, NUM_HEADS, DROPOUT = 256, 896, 6, 0.1


def main(run: str, out: Path) -> None:
    """Write the wider model and the tokenizer into `out`, from where `model.checkpoint` loads them."""
    checkpoint, _ = best_checkpoint(run)
    out.mkdir(parents=True, exist_ok=True)  # transformers only warns if it is a file
    wide = widened(AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32), D_MODEL, D_FF, NUM_HEADS)
    wide.config.dropout_rate = DROPOUT
    wide.save_pretrained(out)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(out)
    print(f"{wide.num_parameters():,} parameters")


def widened(model: T5ForConditionalGeneration, d_model: int, d_ff: int, num_heads: int) -> T5ForConditionalGeneration:
    """Return a T5 with these sizes that computes the same logits.

    Args:
        model: a T5 with tied embeddings.
        d_model: width of the residual stream; no size may be below the model's.
        d_ff: width of the feed-forward layers.
        num_heads: attention heads.
    """
    config = {**model.config.to_dict(), "d_model": d_model, "d_ff": d_ff, "num_heads": num_heads}
    wide = T5ForConditionalGeneration(T5Config(**config))
    weights = dict(model.named_parameters())
    # T5 divides by the root mean square over all dimensions, of which the new ones are 0.
    scale = (model.config.d_model / d_model) ** 0.5
    with torch.no_grad():
        for name, new in wide.named_parameters():
            old = weights[name]
            if name.endswith("layer_norm.weight"):
                new.fill_(float(old.mean()) * scale)
                new[: len(old)] = old * scale
                if name == "decoder.final_layer_norm.weight":
                    new.div_(scale)  # the output is divided by the root of d_model
            else:
                if name.endswith((".o.weight", ".wo.weight", "shared.weight", "relative_attention_bias.weight")):
                    new.zero_()
                new[: old.shape[0], : old.shape[1]] = old
    return wide


if __name__ == "__main__":
    script(lambda run, out: main(run, Path(out)), "RUN OUT")
