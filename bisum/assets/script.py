"""The command line of the programs that make what comes with bisum: its sample, its models."""

import sys
from collections.abc import Callable

from bisum.errors import UserError, complain


def script(main: Callable[..., None], parameters: str) -> None:
    """Call `main` with the words of the command line; bad input is told in one line, exit code 2, as `bisum` does.

    `parameters` are the words' names: as many as there are, or, if the last ends in `...`, that many or more.
    """
    words, names = sys.argv[1:], parameters.split()
    if len(words) < len(names) or (len(words) > len(names) and not parameters.endswith("...")):
        spec = sys.modules["__main__"].__spec__
        complain(f"usage: python -m {spec.name if spec else 'PROGRAM'} {parameters}")
        sys.exit(2)
    try:
        main(*words)
    except (UserError, OSError) as error:
        complain(error)
        sys.exit(2)
