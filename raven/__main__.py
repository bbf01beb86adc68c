"""python -m raven is raven."""

from raven.cli import main

main()
