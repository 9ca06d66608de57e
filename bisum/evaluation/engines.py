"""The choice of the library that generates summaries."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Protocol

from bisum.config.options import GenerationOptions
from bisum.errors import UserError, one_line
from bisum.evaluation.settings import with_checkpoint_defaults
from bisum.interfaces.family import Family
from bisum.models.families import T5, Bart, LanguageTokens, Pegasus

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

    from bisum.models.loading import LoadedModel

logger = logging.getLogger(__name__)

_FAMILIES = (T5, Bart, LanguageTokens, Pegasus)
_MODEL_TYPES = ("t5", "mt5", "umt5", "bart", "mbart", "m2m_100", "pegasus")
"""Kinds of models whose greedy summaries are the same with CTranslate2, as the tests check."""


class Engine(Protocol):
    """A model in a form that generates faster than in transformers."""

    @property
    def batches_at_once(self) -> int:
        """Number of batches to hand to `generate` at once."""

    def generate(self, batches: Sequence[Mapping[str, torch.Tensor]], config: GenerationConfig) -> list[torch.Tensor]:
        """Return what `Family.generate` returns for each batch of model inputs."""


def check_engine(options: GenerationOptions, device: str, precision: str, *, fixed_shapes: bool = False) -> None:
    """Refuse an engine that this environment does not support, and warn of settings that it interprets differently.

    `device` is the type of a torch device, such as cpu.

    Raises:
        UserError: CTranslate2 is required and cannot be used.
    """
    if options.engine != "ctranslate2":
        return
    if problem := _environment_problem(device, precision, fixed_shapes):
        raise _refusal(problem)
    for difference in _differences(options):
        logger.warning("%s", difference)


def check_engine_of(family: Family, model_type: str, *, has_adapter: bool) -> None:
    """Refuse a kind of model that CTranslate2 does not support; see `check_engine`.

    Raises:
        UserError: CTranslate2 cannot generate with such a model.
    """
    if problem := _model_problem(family, model_type, has_adapter):
        raise _refusal(problem)


def choose_engine(
    loaded: LoadedModel, options: GenerationOptions, precision: str, *, fixed_shapes: bool = False
) -> str:
    """Return the library that generates with a model: transformers or ctranslate2.

    Raises:
        UserError: CTranslate2 is required and cannot be used.
    """
    problem = _environment_problem(loaded.model.device.type, precision, fixed_shapes)
    problem = problem or _model_problem(loaded.family, loaded.model.config.model_type, loaded.base is not None)
    return _choice(with_checkpoint_defaults(options, loaded.no_repeat_ngram_size), problem)


def can_convert(options: GenerationOptions, family: Family, model_type: str) -> bool:
    """Return whether CTranslate2 is chosen for a whole model of this kind on a CPU, in float32."""
    try:
        problem = _environment_problem("cpu", "float32", False) or _model_problem(family, model_type, False)
        return _choice(options, problem) == "ctranslate2"
    except UserError:
        return False


def _choice(options: GenerationOptions, problem: str | None) -> str:
    """Return the library to use, given why CTranslate2 cannot generate, if so."""
    if options.engine == "transformers":
        return "transformers"
    if options.engine == "auto":
        if options.num_beams > 1:  # also with early_stopping=true, summaries without an end are ranked differently
            problem = problem or "ranks beams by another rule"
        if problem := problem or next(_differences(options), None):
            logger.debug("generation.engine: transformers, since CTranslate2 %s", problem)
            return "transformers"
    elif problem:
        raise _refusal(problem)
    return "ctranslate2"


def build_engine(
    loaded: LoadedModel,
    options: GenerationOptions,
    precision: str,
    *,
    fixed_shapes: bool = False,
    converted: Path | None = None,
) -> Engine | None:
    """Return an engine with the model's current weights, or None for generation with transformers.

    `converted` is the folder of a conversion of the current weights, if there is one.

    The latter is a fallback, which is reported, if `auto` chooses CTranslate2 and it fails to start: for lack of disk
    space, for example.

    Raises:
        UserError: CTranslate2 is required and cannot be used.
    """
    if choose_engine(loaded, options, precision, fixed_shapes=fixed_shapes) == "transformers":
        return None
    try:
        from bisum.evaluation.ctranslate2_engine import CTranslate2Engine

        return CTranslate2Engine(loaded, options.quantization, converted)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        problem = f"failed to start ({_cause(error)})"
        if options.engine == "auto":
            logger.warning("generation.engine: ctranslate2 %s; transformers generates instead", problem)
            return None
        raise _refusal(problem) from error


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left in {gettempdir()}, where the model is converted: free some, or set TMPDIR"
    return one_line(error)


def _refusal(problem: str) -> UserError:
    joint = ", or" if ";" in problem else ";"
    return UserError(f"generation.engine: ctranslate2 {problem}{joint} use generation.engine=transformers")


def _environment_problem(device: str, precision: str, fixed_shapes: bool) -> str | None:
    """Return why CTranslate2 cannot generate here, if so."""
    if find_spec("ctranslate2") is None:
        return "is not installed; run pip install 'bisum[fast]'"
    if device != "cpu":
        return f"is supported on a CPU, not on {device}"
    if precision != "float32":
        return f"needs hardware.precision=float32, not {precision}"
    return "does not support fixed shapes (hardware.length_buckets)" if fixed_shapes else None


def _model_problem(family: Family, model_type: str, has_adapter: bool) -> str | None:
    """Return why CTranslate2 cannot generate with a kind of model, if so."""
    if has_adapter:
        return "does not support an adapter, which `bisum push RUN hub.folder=DIR` merges into a whole model"
    if type(family) not in _FAMILIES or model_type not in _MODEL_TYPES:
        return f"does not support '{model_type}' models of family {type(family).__name__}"
    return None


def _differences(options: GenerationOptions) -> Iterator[str]:
    """Yield a line for each setting with which CTranslate2's summaries can differ from those of transformers."""
    if options.num_beams > 1 and options.early_stopping is not True:
        given = str(options.early_stopping).lower()
        yield f"generation.early_stopping: ctranslate2 ends beam search as with true, not {given}"
    if options.no_repeat_ngram_size == 1:  # longer n-grams cannot repeat the start token, which no summary contains
        yield (
            "generation.no_repeat_ngram_size: ctranslate2 counts the start token, so with 1, summaries can differ from "
            "those of transformers"
        )
    elif options.no_repeat_ngram_size != 0 and options.num_beams > 1:  # null can be a ban of the checkpoint's
        yield (
            "generation.no_repeat_ngram_size: with beam search and banned n-grams, ctranslate2's summaries can differ "
            "from those of transformers"
        )
