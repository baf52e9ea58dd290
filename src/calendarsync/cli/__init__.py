"""The command line: one file for each noun."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `calendarsync`."""
    try:
        from calendarsync.cli.app import app

        app(prog_name="calendarsync")
    except KeyboardInterrupt:
        # Before or after the command itself; 128 + SIGINT, as shells count.
        sys.exit(130)
