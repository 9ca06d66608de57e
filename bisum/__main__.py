"""`python -m bisum`: the command line."""

from bisum.cli import main

if __name__ == "__main__":
    main()
