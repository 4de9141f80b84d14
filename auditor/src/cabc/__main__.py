"""`python -m cabc`."""

from cabc.cli import main

main()
