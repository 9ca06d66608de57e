"""The watchers that `debug` enables."""

from __future__ import annotations

from bisum.batches.tokenization import EncodedSplit
from bisum.config.schema import Config
from bisum.models.dropout import remove_dropout
from bisum.models.loading import LoadedModel
from bisum.records.run import Run
from bisum.training.overfit import Overfit
from bisum.training.profiling import Profile
from bisum.training.watcher import Watcher, Watchers


def build_watcher(config: Config, run: Run, loaded: LoadedModel, split: EncodedSplit) -> Watcher:
    """Return the watcher of the steps; with `debug.overfit`, also remove the model's dropout.

    `split` contains the training rows, a single batch with `debug.overfit`.
    """
    options, watchers = config.debug, list[Watcher]()
    if options.overfit:
        remove_dropout(loaded.model)
        watchers.append(Overfit(run, options.overfit_loss, len(split), split.summaries_cut))
    if options.profile:
        watchers.append(Profile(run, options.profile_steps, loaded.model.device))
    return Watchers(watchers)
