"""`bisum evaluate`: score a model as it is on a split, and tell whether it is better than lead-k."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from bisum.commands.start import load_model, load_rows, quiet_libraries
from bisum.config import Config, EvaluateConfig
from bisum.corpus.corpus import fingerprint
from bisum.corpus.tokenization import encode
from bisum.evaluation.evaluator import Evaluation, Evaluator
from bisum.hardware.devices import find_device
from bisum.hardware.shapes import choose_shapes
from bisum.models.loading import LoadedModel
from bisum.models.packaged import located
from bisum.records.evaluation_tables import difference_table, prefix_of, verdicts
from bisum.records.report import cut_line, scores_table, show_summaries
from bisum.records.run import Run, recorded

if TYPE_CHECKING:
    import pyarrow as pa


def run(config: Config, directory: Path) -> float:
    """Score the configured model on the configured split, record it in a run directory and return its ROUGE-L."""
    assert isinstance(config, EvaluateConfig)
    quiet_libraries()
    with recorded(directory, config) as record:
        device = find_device(config.hardware)
        corpus = load_rows(config, record, [config.split])
        loaded = load_model(config, record, device)
        with record.stage("tokenization"):
            cache = Path(config.cache_dir).expanduser()
            splits = encode(corpus, loaded, cache, record.screen.progress, splits=[config.split])
        split = splits[config.split]
        record.screen.print(cut_line(splits, (loaded.max_document_tokens, loaded.max_summary_tokens)))
        shapes = choose_shapes([split], loaded, config.hardware.length_buckets)
        if shapes is not None:
            record.screen.print(f"padded to {shapes}")

        evaluator = Evaluator(config, record, device.precision, shapes)
        with record.stage("baseline"):
            baseline = evaluator.baseline(split.rows)
        with record.stage("evaluation"):
            scored = evaluator.model(loaded, split, prefix_of(config.split))
        difference = evaluator.difference(scored, baseline)
        _record(record, loaded, split.rows, baseline, scored, difference)
        show_summaries(record, scored.predictions, config.evaluation.shown_summaries, config.languages)
        _show(record)
    return scored.metrics[f"{prefix_of(config.split)}/rougeL"]


def _record(
    run: Run,
    loaded: LoadedModel,
    rows: pa.Table,
    baseline: Evaluation,
    scored: Evaluation,
    difference: Mapping[str, float],
) -> None:
    """Record every row's summaries and all scores."""
    config = run.config
    assert isinstance(config, EvaluateConfig)
    split, lead, checkpoint = config.split, config.evaluation.lead, str(config.model.checkpoint)
    name = Path(located(checkpoint)).resolve().name
    run.write_predictions(f"{split}-lead{lead}", baseline.predictions)
    run.write_predictions(f"{split}-{name}", scored.predictions)
    run.log({**baseline.metrics, **scored.metrics, **difference}, 0, 0.0, {**baseline.histograms, **scored.histograms})
    run.update(
        baseline={"system": f"lead-{lead}", "split": split, **baseline.metrics},
        evaluation={
            "run": config.run,
            "checkpoint": checkpoint,
            "model": f"{name}, {loaded.model.config.model_type}, {loaded.parameters / 1e6:.1f} M",
            "split": split,
            "rows": len(rows),
            "fingerprint": fingerprint({split: rows}),
            "baseline": f"lead-{lead}",
            **scored.metrics,
            **difference,
        },
    )


def _show(run: Run) -> None:
    """Show the recorded scores, how far they are above the baseline's, and where they lie."""
    scores, baseline, languages = run.record["evaluation"], run.record["baseline"], run.config.languages
    split, lead = scores["split"], scores["baseline"]
    counts = {language: count["kept"] for language, count in run.record["data"]["rows"][split].items()}
    run.screen.print(
        f"\n{split}, {scores['rows']:,} rows: {escape(scores['model'])} (ROUGE F and its 95 % interval)",
        scores_table(scores, prefix_of(split), languages, (lead, baseline)),
        f"\ndifference to {lead} over the same rows, its 95 % interval by paired bootstrap",
        difference_table(scores, counts),
        kind="result",
    )
    run.screen.lines("", *verdicts(scores, counts, lead), kind="news" if run.config.sweep else "result")
    run.screen.lines("", f"run directory  {run.shown}", f"summaries      {run.shown / 'predictions'}")
