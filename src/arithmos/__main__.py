"""`python -m arithmos`: the command line."""

from __future__ import annotations

from arithmos.cli.main import main

if __name__ == "__main__":
    main()
