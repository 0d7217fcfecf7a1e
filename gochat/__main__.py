"""`python -m gochat`."""

from gochat.cli import main

main()
