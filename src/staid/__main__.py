"""`python -m staid`: the same as the command `staid`."""

from staid.cli import main

if __name__ == "__main__":
    main()
