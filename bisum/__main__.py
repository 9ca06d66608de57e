"""`python -m bisum`: the command line."""

import os
import sys

# Python searches the current folder first, which may contain someone else's pathlib.py; a checkout of bisum stays.
if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from bisum.cli.main import main

if __name__ == "__main__":
    main()
