"""Scoring in a training run: the baseline before, validation during and the test split after training."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bisum.batches.tokenization import EncodedSplit
from bisum.config.schema import Config
from bisum.display.narration import (
    narrate_baseline,
    narrate_summaries,
    narrate_test,
    narrate_validation,
)
from bisum.display.overfit import narrate_overfit
from bisum.display.profile_table import show_trace
from bisum.display.scored_rows import ScoredRows
from bisum.errors import UserError
from bisum.evaluation.evaluator import Evaluator
from bisum.evaluation.profile import best_metric, blind_spots, kept_shares
from bisum.hardware.xla import compilations
from bisum.interfaces.score import ROUGE_SCORES, score_name, split_score_name
from bisum.interfaces.trainer import AUTO
from bisum.models.loading import LoadedModel
from bisum.records.run import Run
from bisum.runs.checkpoints import epoch_name
from bisum.runs.profile import TRACE
from bisum.training.checkpoints import flaw, load_weights
from bisum.training.session import Session


class Scoring:
    """The scoring steps of a training run, which record and show the scores."""

    def __init__(
        self, config: Config, run: Run, evaluator: Evaluator, loaded: LoadedModel, splits: Mapping[str, EncodedSplit]
    ) -> None:
        self._config = config
        self._run = run
        self._evaluator = evaluator
        self._loaded = loaded
        self._splits = splits
        self.best_metric = best_metric(config.trainer.best_metric, evaluator.profile)
        score = config.score_of(split_score_name(self.best_metric)[0])
        assert score is not None  # the configuration is checked
        assert score.higher_is_better is not None
        self.higher_is_better = score.higher_is_better

    def rows(self, split: str) -> int:
        """Return the number of rows of a split."""
        return len(self._splits[split])

    def score_baseline(self) -> None:
        """Score lead-k on the validation split, as the baseline shown beside every evaluation.

        Raises:
            UserError: these rows do not have the metric that selects the best checkpoint.
        """
        with self._run.stage("baseline"):
            self._baseline = self._evaluator.baseline(self._splits["validation"].rows)
        self._check_best_metric()

    def record_baseline(self) -> None:
        """Record and show the validation scores of lead-k."""
        run, lead, baseline = self._run, self._config.evaluation.lead, self._baseline
        logged = {name for line in run.metrics() for name in line}
        if baseline.metrics.keys() - logged:  # a resumed run can have new metrics
            run.write_evaluation(f"validation-lead{lead}", baseline)
            run.log(baseline.metrics, 0, 0.0, baseline.histograms)
        scores = {"system": f"lead-{lead}", "split": "validation", **baseline.metrics}
        run.update(baseline=scores, best_metric=self.best_metric)
        narrate_baseline(run.screen, baseline.metrics, lead, "validation", ScoredRows.of(run.record, "validation"))

    def validate(self, step: int, epoch: float, train_loss: float) -> Mapping[str, float]:
        """See `bisum.training.session.Validate`."""
        run, config = self._run, self._config
        with run.stage("evaluation"):
            scored = self._evaluator.model(self._loaded, self._splits["validation"], "eval")
            if self._evaluator.engine != self._run.record["engine"]:  # it failed to start
                self._run.update(engine=self._evaluator.engine)
            difference = self._evaluator.difference(scored, self._baseline)
        if self._loaded.model.device.type == "xla":
            run.screen.log(f"step {step}  {compilations()} XLA programs compiled so far")
        run.write_evaluation(f"validation-{epoch_name(epoch)}", scored)
        run.log(scored.metrics, step, epoch, scored.histograms)
        run.update(last={"step": step, "epoch": epoch, **scored.metrics, **difference})
        lead = (f"lead-{config.evaluation.lead}", self._baseline.metrics)
        rows = ScoredRows.of(run.record, "validation")
        narrate_validation(run.screen, scored.metrics, epoch, train_loss, lead, rows, self.best_metric)
        narrate_summaries(run.screen, scored.predictions, config.evaluation.shown_summaries, config.languages)
        return {**scored.metrics, **difference}

    def test(self, session: Session) -> dict[str, float]:
        """Score the test split once, with the best checkpoint, and return the result of `report`."""
        run, lead, name = self._run, self._config.evaluation.lead, session.progress.best_checkpoint
        if name is None and session.progress.evaluated_step:
            raise UserError(f"trainer.best_metric: {self.best_metric} was not a finite number in any evaluation")
        if name is None:
            raise UserError(f"trainer: {type(self._config.trainer).__name__}.fit ended before any evaluation")
        best = run.checkpoints / name
        if problem := flaw(best):
            raise UserError(f"'{best}', the best checkpoint, is damaged ({problem}); restore it from a copy and resume")
        load_weights(self._loaded.model, best)
        split = self._splits["test"]
        with run.stage("test"):
            baseline = self._evaluator.baseline(split.rows)
            scored = self._evaluator.model(self._loaded, split, "test")
            if self._evaluator.engine != self._run.record["engine"]:  # it failed to start
                self._run.update(engine=self._evaluator.engine)
            difference = self._evaluator.difference(scored, baseline)
        run.write_evaluation(f"test-lead{lead}", baseline)
        run.write_evaluation(f"test-{name}", scored)
        run.log(scored.metrics, session.step, session.epoch, scored.histograms)
        run.update(test={"checkpoint": name, **scored.metrics, **baseline.metrics, **difference})
        if not math.isfinite(scored.metrics["test/loss"]):
            raise FloatingPointError(f"test/loss is {scored.metrics['test/loss']} with the weights of {name}")
        return report(run)

    def _check_best_metric(self) -> None:
        """Refuse a metric that these rows do not have; warn of one that loses most of their letters."""
        name, language = split_score_name(self.best_metric)
        scores, available = self._baseline.scores, self._baseline.metrics
        is_computed = name in scores.columns or name in scores.corpus_scores
        score = self._config.score_of(name)
        if not is_computed and score is not None and not score.generated_only:
            others = (other for other in (*scores.columns, *scores.corpus_scores) if other not in ROUGE_SCORES)
            found = "".join(f", eval/{other}" for other in others)
            raise UserError(f"trainer.best_metric: no metric returns '{self.best_metric}' (valid: ROUGE{found})")
        if is_computed and score_name("baseline", name, language=language) not in available:
            raise UserError(f"trainer.best_metric: no row has a value for '{self.best_metric}'")
        if self._config.trainer.best_metric == AUTO:
            return
        shares = kept_shares([self._splits["validation"].rows])
        if lost := blind_spots(self.best_metric, shares):
            percent = " and ".join(f"{shares[language]:.0%} of the letters of {language}" for language in lost)
            self._run.screen.warn(
                f"trainer.best_metric: {self.best_metric} keeps only a-z and 0-9 ({percent}); "
                "eval/unicode/rougeL keeps all"
            )


def report(run: Run) -> dict[str, float]:
    """Show the recorded test scores; return them with their differences to lead-k and the best validation scores."""
    scores, lead = run.record["test"], run.config.evaluation.lead
    narrate_test(run.screen, scores, lead, ScoredRows.of(run.record, "test"), run.record["best_metric"], run.shown)
    if "overfit" in run.record:
        narrate_overfit(run.screen, run.record, run.config, in_sweep=run.config.provenance.sweep is not None)
    if (run.directory / TRACE).exists():
        show_trace(run.screen, run.shown / TRACE)
    best = {name: value for name, value in run.record["best"].items() if not name.startswith("difference/")}
    return best | {name: value for name, value in scores.items() if name.startswith(("test/", "difference/"))}
