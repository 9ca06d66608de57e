"""The command line of the programs that build bisum's sample corpus and models."""

import sys
from collections.abc import Callable

from bisum.errors import UserError, complain


def script(main: Callable[..., None], parameters: str) -> None:
    """Call `main` with the words of the command line; report bad input in one line with exit code 2, as `bisum` does.

    `parameters` names the words. If it ends in `...`, more words may follow.
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
