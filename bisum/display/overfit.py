"""The result of overfitting one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bisum.config.schema import Config
from bisum.display.scored_rows import ScoredRows
from bisum.display.screen import Screen

_SAME = 95.0
"""ROUGE-L from which the summaries count as reproduced."""


def narrate_overfit(screen: Screen, record: Mapping[str, Any], config: Config, *, in_sweep: bool) -> None:
    """Show how far the loss of the batch fell and what it scores; warn if it stayed above the limit, or scores low."""
    found, limit = record["overfit"], config.debug.overfit_loss
    first, loss = found["first_loss"], found["loss"]
    score = record["last"][ScoredRows.of(record, "validation").name("eval", "rougeL")]
    rows = "1 row" if found["rows"] == 1 else f"{found['rows']:,} rows"
    steps = "1 step" if found["steps"] == 1 else f"{found['steps']:,} steps"
    fell = f"overfit: the loss of one batch of {rows} fell from {first:.3g} to {loss:.3g} in {steps}"
    if loss >= limit:
        fell = fell.replace(" fell ", " rose ") if loss >= first else fell
        screen.warn(
            f"{fell}, not below {limit:g} (debug.overfit_loss); ROUGE-L {score:.1f} on the batch itself. "
            f"Likely causes: {'; '.join(_causes(config))}"
        )
        return
    screen.lines(f"{fell}; ROUGE-L {score:.1f} on the batch itself", kind="news" if in_sweep else "result")
    if score < _SAME:
        screen.warn(f"overfit: the summaries differ from the references; {_why_others(found, config)}")


def _causes(config: Config) -> Iterator[str]:
    """Yield what may keep the loss of a batch above its limit."""
    trainer = config.trainer
    yield f"a learning rate too low, or so high that the loss jumps (trainer.learning_rate={trainer.learning_rate:g})"
    yield f"too few steps (trainer.max_steps={trainer.max_steps})"
    for name in ("label_smoothing", "weight_decay", "warmup"):
        if value := getattr(trainer, name):
            yield f"trainer.{name}={value:g}, which should be 0 here"
    yield "labels that do not follow from the documents (bisum explore shows rows)"


def _why_others(found: Mapping[str, Any], config: Config) -> str:
    """Return what may keep a model that has memorized the batch from generating its summaries."""
    if found["cut"]:
        return f"{found['cut']:,} of them are cut at model.max_summary_tokens={config.model.max_summary_tokens}"
    return "see the keys of generation, such as min_tokens and no_repeat_ngram_size, and the tokenizer's unknown tokens"
