"""The program's first module, and a light one: an interrupt is answered while everything else is still imported."""

from __future__ import annotations

from ffpipe.pipeline import interrupts


def main() -> None:
    """Entry point of the command line."""
    interrupts.end_at_once()
    from ffpipe.pipeline import cli

    cli.main()
