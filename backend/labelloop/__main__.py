"""`python -m labelloop`, the same as the `labelloop` command."""

from labelloop.cli import main

main()
