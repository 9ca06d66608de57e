"""The metadata of a card, which the hub reads: languages, base model, data and scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bisum.hub.markdown import line
from bisum.hub.origins import base_model, corpus, iso_code, languages_of, repository_settings
from bisum.hub.results import Results
from bisum.interfaces.score import MODEL_SCORES, score_name

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

_TITLES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}


def card_data(
    record: Mapping[str, Any], results: Results | None, *, title: str, model_type: str, license: str | None
) -> ModelCardData:
    """Return the metadata; unknown entries are omitted."""
    from huggingface_hub import ModelCardData

    base, data = base_model(record), corpus(record)
    scores = list(_scores(record, results)) if results else []
    metrics = dict.fromkeys(score.metric_type for score in scores if score.metric_type not in MODEL_SCORES)
    card = ModelCardData(
        language=list(dict.fromkeys(filter(None, map(iso_code, languages_of(record))))) or None,
        license=line(license) if license else None,
        library_name="transformers",
        pipeline_tag="summarization",
        tags=["summarization", "bisum", line(model_type)],
        base_model=base.repo,
        datasets=[data.repo] if data.repo else None,
        metrics=list(metrics) or None,
        model_name=title if scores else None,
        eval_results=scores or None,
    )
    if base.repo:
        card["base_model_relation"] = "finetune"
    return card


def _scores(record: Mapping[str, Any], results: Results) -> Iterator[EvalResult]:
    """Yield the scores over all rows and, if there are several languages, for each."""
    from huggingface_hub import EvalResult

    data, settings = corpus(record), repository_settings(record)
    configurations = settings.get("configurations")
    split = settings.get(results.split) if data.repo else None
    for part in results.parts:
        own = configurations.get(part) if isinstance(configurations, dict) else None if part else configurations
        configuration = own if isinstance(own, str) else part
        for kind, name, value in _values(results, part):
            yield EvalResult(
                task_type="summarization",
                task_name="Summarization",
                dataset_type=data.repo or re.sub(r"[^\w.-]+", "-", data.title),
                dataset_name=f"{data.title} ({line(part)})" if part else data.title,
                dataset_config=line(configuration) or None,
                dataset_split=line(split) if isinstance(split, str) else results.split,
                dataset_revision=data.revision,
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 4),
            )


def _values(results: Results, part: str) -> Iterator[tuple[str, str, float]]:
    """Yield the type, the name and the value of each score of a part."""
    for name, title in _TITLES.items():
        if (value := results.value(results.prefix, name, part)) is not None:
            yield "rouge", title, value
    for name in (*MODEL_SCORES, *results.rows.metrics):
        if (value := results.values.get(score_name(results.prefix, name, language=part))) is not None:
            yield line(name), line(name), value
