"""`python -m bisum`: the command line."""

import sys
from pathlib import Path

# Python puts the current folder first, where a stranger's torch.py would be imported; a checkout of bisum stays.
if Path(sys.path[0]) == Path.cwd() != Path(__file__).parents[1]:
    del sys.path[0]

from bisum.cli.main import main

if __name__ == "__main__":
    main()
