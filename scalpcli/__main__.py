"""`python -m scalpcli`."""

from __future__ import annotations

from scalpcli.cli import main

main()
