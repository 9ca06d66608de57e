"""`python -m bisum`: the command line."""

from bisum.cli.main import main

if __name__ == "__main__":
    main()
