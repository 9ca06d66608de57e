"""`python -m bisum`: the command line."""

import os
import sys

# Python puts the current folder first, where a stranger's pathlib.py would be imported; a checkout of bisum stays.
if sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    del sys.path[0]

from bisum.cli.main import main

if __name__ == "__main__":
    main()
