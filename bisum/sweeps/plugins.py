"""Sweeps that a plugin of Hydra's lists or launches, such as Optuna or joblib: Hydra runs them, bisum each job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from bisum.config.composition import Composer
from bisum.config.jobs import directory_of, single_job
from bisum.config.overrides import typed
from bisum.errors import Failed, UserError, complain, one_line
from bisum.records.run import claim
from bisum.sweeps.execution import release_memory
from bisum.sweeps.report import announce, report


def run_with_plugins(
    composer: Composer, overrides: Sequence[Override], import_function: Callable[[], Callable[..., Any]]
) -> int:
    """Run a sweep with the sweeper and launcher that are configured; return the largest exit code of its jobs.

    Raises:
        UserError: the sweep's directory cannot be used, or the sweeper refuses its words.
    """
    directory = directory_of(composer.compose_sweep(overrides), "hydra.sweep.dir")
    claim(Path(directory), "hydra.sweep.dir")
    function = import_function()

    def task(_: DictConfig) -> float | None:
        hydra = HydraConfig.get()
        words = [*hydra.overrides.hydra, *hydra.overrides.task]
        announce(hydra.job.num, [], hydra.overrides.task)
        try:
            config = single_job(composer, composer.parse(words), sweep=Path(directory).name).config
            score: float | None = function(config, Path(hydra.runtime.output_dir))
            return score
        except (UserError, Failed) as error:
            complain(error)
            return None
        finally:
            release_memory()

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    words = [*map(typed, overrides), f"hydra.sweep.dir={directory}"]
    try:
        batches = hydra.multirun(composer.command, task, words)
    except (UserError, Failed):
        raise
    except Exception as error:  # of whichever plugin runs the sweep
        raise UserError(f"hydra/sweeper: {one_line(error)}") from error
    results = [result for batch in batches or [] for result in batch]
    return report([(Path(result.hydra_cfg.hydra.runtime.output_dir), result.overrides) for result in results])
