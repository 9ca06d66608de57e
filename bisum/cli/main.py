"""Entry point of the command line: exit codes and errors. `bisum.cli.dispatch` runs the command.

bisum [COMMAND] [RUN or FILE ...] [group=option ...] [key=value ...] [-m] [--cfg job] [--config-dir DIR] [-- TEXT ...]
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from bisum.errors import Failed, UserError, complain
from bisum.printing import clean_standard_streams


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 success, 1 failure, 2 bad input, 129, 130, 143 interrupted, 141 closed pipe."""
    streams = sys.stdout, sys.stderr
    clean_standard_streams()
    collects = gc.isenabled()
    gc.disable()  # until the command starts, since configuration creates many objects and drops few
    try:
        from bisum.cli.dispatch import run  # imported here, so that Ctrl-C is handled during the import

        code = run(sys.argv[1:] if arguments is None else arguments)
        _flush()
    except (UserError, Failed) as error:
        from bisum.config.recording import mask_variables  # imported by now

        complain(mask_variables(str(error)))
        code = 2 if isinstance(error, UserError) else 1
    except RecursionError:
        complain("a value is nested too deeply")
        code = 2
    except BrokenPipeError:
        code = 141
    except OSError as error:
        complain(error)
        code = 1
    except KeyboardInterrupt:
        complain("interrupted")
        code = 130
    finally:
        if collects:
            gc.enable()
        if arguments is not None:  # otherwise they stay clean, for Python's own tracebacks
            sys.stdout, sys.stderr = streams
    if arguments is None:  # an interrupt during exit would print a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.freeze()  # otherwise Python searches every object for cycles at exit
    try:
        _flush()
    except OSError:  # otherwise Python would try to write again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if arguments is None and not any(name.startswith("bisum.commands.") for name in sys.modules):
        os._exit(code)  # no command has started, so there is nothing to close, and Python's own exit takes a while
    sys.exit(code)


def _flush() -> None:
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by the shell, `>&-`
        stream.flush()
