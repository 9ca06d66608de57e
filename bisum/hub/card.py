"""The model card of a training run: README.md and its figure, made from the run directory alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from bisum.display.curves import plot_curves
from bisum.errors import UserError
from bisum.evaluation.bootstrap import MIN_ROWS
from bisum.hub import origins, recipe, usage
from bisum.hub.markdown import code, escaped, fenced, line
from bisum.hub.metadata import card_data
from bisum.hub.origins import node
from bisum.hub.results import (
    Results,
    baseline_verdicts,
    described_metrics,
    has_few_rows,
    metrics_table,
    results_of,
    rouge_table,
)
from bisum.interfaces.score import score_name
from bisum.runs.checkpoints import epoch_of
from bisum.runs.files import replace_file
from bisum.runs.metrics import read_metrics
from bisum.runs.record import read_record

if TYPE_CHECKING:
    from bisum.interfaces.family import TextReader

CARD = "README.md"
FIGURE = "curves.png"
_PLACEHOLDER = "path/to/this/folder"
"""Stands for the model in examples of a card without a repository."""
_NOT_FINAL = {
    "running": "Training is unfinished.",
    "interrupted": "Training was interrupted.",
    "pruned": "A search ended this training early.",
    "failed": "Training failed after these weights were saved.",
}
"""What the card says of a run by its status, unless it is finished."""


def write_card(
    run: Path, folder: Path, checkpoint: str, reader: TextReader, repo_id: str | None, license: str | None
) -> None:
    """Write the card and its figure into a folder that holds a checkpoint of a training run.

    Args:
        run: the run directory, whose texts are not trusted.
        folder: the folder, which exists.
        checkpoint: name of the checkpoint, such as `epoch-2`.
        reader: the reader of the model's texts.
        repo_id: the model's repository on the hub; None: examples name a placeholder.
        license: the model's licence, as the hub names it; None: the card says that none is stated.

    Raises:
        UserError: the run has no record of a training.
    """
    record = read_record(run)
    if record["job"] != "train":
        raise UserError(f"run: '{run}' is a run of `bisum {line(record['job'])}`, which trains no model")
    lines = read_metrics(run) if (run / "metrics.jsonl").is_file() else []
    scored = results_of(record, lines, checkpoint)
    title = (
        line(repo_id.rpartition("/")[2]) if repo_id else f"{_choice(record, 'model')} on {_choice(record, 'corpus')}"
    )
    data = card_data(record, scored, title=title, model_type=str(reader.config.model_type), license=license)
    lead = scored.baseline if scored else "lead-k"
    stem, profile = folder / Path(FIGURE).stem, record.get("profile", "rouge")
    figure = plot_curves(stem, lines, profile=profile, lead=lead, chosen=epoch_of(Path(checkpoint)))
    text = (
        _environment()
        .from_string(_template())
        .render(
            title=title,
            reader=reader,
            figure=FIGURE if figure else None,
            license=license,
            **_progress(record, checkpoint),
            **_training(record, run / "checkpoints" / checkpoint),
            **_scores(scored),
            **_usage(record, folder, reader, line(repo_id or _PLACEHOLDER)),
        )
    )
    replace_file(folder / CARD, f"---\n{data.to_yaml()}\n---\n\n{_tidy(text)}\n".encode())


def _progress(record: Mapping[str, Any], checkpoint: str) -> dict[str, Any]:
    """Return the template's values on the state of the run and the choice of the checkpoint."""
    tested = (record.get("test") or {}).get("checkpoint")
    # A kill can leave the status behind, but only a finished training scores the test split.
    status = "finished" if tested else record.get("status")
    return {
        "is_tested": tested == checkpoint,
        "tested": tested,
        "not_final": _NOT_FINAL.get(str(status), "This is not the checkpoint that the run chose."),
        "pruned_because": record.get("reason") if status == "pruned" else None,
        "epoch": f"{epoch_of(Path(checkpoint)):.4g}",
        "epochs": node(record, "config", "trainer").get("epochs", "?"),
        "best_metric": record.get("best_metric"),
        "overfit": node(record, "overfit").get("rows"),
    }


def _training(record: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Return the template's values on the model, its data and its training."""
    data, lead = origins.corpus(record), node(record, "config", "evaluation").get("lead")
    return {
        "base": origins.base_model(record),
        "corpus": data,
        "corpus_page": f"{origins.HUB}/datasets/{data.repo}" if data.repo else None,
        "corpus_licence": origins.corpus_licence(record),
        "languages": origins.language_names(origins.languages_of(record)),
        "lead_sentences": "sentence" if lead == 1 else f"{lead or ''} sentences".lstrip(),
        "parameters": _millions(record.get("parameters")),
        "trained_parameters": _millions(record.get("trained_parameters")),
        "vocabulary": recipe.vocabulary(record),
        "cut_documents": recipe.cut_shares(record, "documents"),
        "cut_summaries": recipe.cut_shares(record, "summaries"),
        "rows_table": recipe.rows_table(record),
        "filters": list(recipe.filters(record)),
        "fingerprint": node(record, "data").get("fingerprint"),
        "adapter": recipe.adapter(record),
        "adapter_table": recipe.adapter_table(record, checkpoint),
        "base_hashes": recipe.base_hashes(record, checkpoint),
        "settings_table": recipe.settings_table(record),
        "cost": list(recipe.cost(record)),
        "versions": recipe.versions(record),
        "transformers": node(record, "versions").get("transformers"),
        "commands": recipe.commands_of(record),
    }


def _scores(scored: Results | None) -> dict[str, Any]:
    """Return the template's values on the scores."""
    if scored is None:
        return {"results": None, "verdicts": []}
    return {
        "results": scored,
        "verdicts": list(baseline_verdicts(scored)),
        "rouge_table": rouge_table(scored),
        "few_rows": has_few_rows(scored),
        "min_rows": MIN_ROWS,
        "loss": scored.values.get(score_name(scored.prefix, "loss")),
        "length": scored.values.get(score_name(scored.prefix, "gen_len")),
        "metrics_table": metrics_table(scored),
        "metrics": described_metrics(scored),
    }


def _usage(record: Mapping[str, Any], folder: Path, reader: TextReader, repo: str) -> dict[str, Any]:
    """Return the template's values on the use of the model."""
    languages = origins.languages_of(record)
    own_family = type(reader.family).__name__ if usage.has_own_family(reader) else None
    return {
        "python_code": None if own_family else usage.python_code(reader, repo, languages),
        "bisum_command": usage.command(record, reader, repo, languages),
        "own_family": own_family,
        "left_padded": reader.family.left_padded,
        "counts_prompt_ngrams": usage.counts_prompt_ngrams(folder, reader),
    }


def _choice(record: Mapping[str, Any], group: str) -> str:
    """Return the option chosen for a group."""
    return line(node(record, "choices").get(group) or f"own {group}")


def _tidy(text: str) -> str:
    """Return a text with at most one empty line in a row, except in code."""
    parts = re.split(r"(^`{3,}\w+$.*?^`{3,}$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"\n{3,}", "\n\n", part) for part in parts[::2]]
    return "".join(parts).strip()


def _millions(parameters: Any) -> str | None:
    return f"{parameters / 1e6:,.1f} million" if isinstance(parameters, int) else None


@cache
def _environment() -> Environment:
    """Return an environment that escapes every value that is not Markdown already."""
    environment = Environment(
        autoescape=True, finalize=escaped, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(code=code, fenced=fenced)
    return environment


@cache
def _template() -> str:
    return resources.files("bisum.hub").joinpath("card.md.j2").read_text(encoding="utf-8")
