"""The result of overfitting one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bisum.config.schema import Config
from bisum.display.scored_rows import ScoredRows
from bisum.display.screen import Screen

_REPRODUCED = 95.0
"""ROUGE-L from which the summaries count as reproduced."""


def narrate_overfit(screen: Screen, record: Mapping[str, Any], config: Config, *, in_sweep: bool) -> None:
    """Show the loss and score of the batch; warn if the loss stays above the limit or the score is low."""
    found, limit = record["overfit"], config.debug.overfit_loss
    first, loss = found["first_loss"], found["loss"]
    score = record["last"][ScoredRows.of(record, "validation").name("eval", "rougeL")]
    rows = "1 row" if found["rows"] == 1 else f"{found['rows']:,} rows"
    steps = "1 step" if found["steps"] == 1 else f"{found['steps']:,} steps"
    change = f"overfit: the loss of one batch of {rows} {_change(first, loss)} in {steps}"
    if loss >= limit:
        screen.warn(
            f"{change}, not below {limit:g} (debug.overfit_loss); ROUGE-L {score:.1f} on the batch itself. "
            f"Likely causes: {'; '.join(_causes(config, found['steps']))}"
        )
        return
    screen.lines(f"{change}; ROUGE-L {score:.1f} on the batch itself", kind="news" if in_sweep else "result")
    if score < _REPRODUCED:
        screen.warn(f"overfit: the summaries differ from the references; {_generation_hint(found, config)}")


def _change(first: float, last: float) -> str:
    start, end = f"{first:.3g}", f"{last:.3g}"
    return f"stayed at {end}" if start == end else f"{'rose' if last > first else 'fell'} from {start} to {end}"


def _causes(config: Config, steps: int) -> Iterator[str]:
    """Yield likely causes of a loss above its limit."""
    trainer = config.trainer
    yield f"a learning rate that is too low or makes the loss jump (trainer.learning_rate={trainer.learning_rate:g})"
    limit = "max_steps" if steps == trainer.max_steps else "epochs"
    yield f"too few steps (trainer.{limit}={getattr(trainer, limit)})"
    for name in ("label_smoothing", "weight_decay", "warmup"):
        if value := getattr(trainer, name):
            yield f"trainer.{name}={value:g}, which should be 0 here"
    yield "labels unrelated to the documents (bisum explore shows rows)"


def _generation_hint(found: Mapping[str, Any], config: Config) -> str:
    """Return a likely reason why a model that has memorized the batch does not generate its references."""
    if found["cut"]:
        return f"{found['cut']:,} of them are cut at model.max_summary_tokens={config.model.max_summary_tokens}"
    return "check generation keys such as min_tokens and no_repeat_ngram_size, and the tokenizer's unknown tokens"
