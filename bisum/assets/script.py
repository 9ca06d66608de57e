"""The command line of the scripts that build bisum's sample corpus and models."""

import sys
from collections.abc import Callable
from pathlib import Path

from bisum.config.model_source import model_of
from bisum.errors import UserError, complain


def script(main: Callable[..., None], parameters: str) -> None:
    """Call `main` with the command-line arguments; report bad input in one line with exit code 2, like `bisum`.

    `parameters` names the arguments. If it ends in `...`, more can follow.
    """
    arguments, names = sys.argv[1:], parameters.split()
    if len(arguments) < len(names) or (len(arguments) > len(names) and not parameters.endswith("...")):
        spec = sys.modules["__main__"].__spec__
        complain(f"usage: python -m {spec.name if spec else 'PROGRAM'} {parameters}")
        sys.exit(2)
    try:
        main(*arguments)
    except (UserError, OSError) as error:
        complain(error)
        sys.exit(2)


def best_checkpoint(run: str) -> tuple[str, Path]:
    """Return the best checkpoint of a run and the run's directory.

    Raises:
        UserError: `run` is not a run directory.
    """
    checkpoint, directory = model_of(run)
    if directory is None:
        raise UserError(f"run: '{run}' is not a run directory")
    return checkpoint, directory
