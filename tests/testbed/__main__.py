"""`python -m testbed google --port P [--token T]`, from `tests/`: serves a model of a provider on loopback."""

from __future__ import annotations

import argparse
import contextlib
import importlib


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    parser.add_argument("provider", choices=("google", "microsoft"))
    parser.add_argument("--port", type=int, default=0, help="any free one by default")
    parser.add_argument(
        "--token", default="test-token", help="the bearer token of the person whose calendar it is"
    )
    given = parser.parse_args()
    package = importlib.import_module(f"{__package__}.{given.provider}")
    with contextlib.suppress(KeyboardInterrupt):
        package.serve(given.port, given.token)


if __name__ == "__main__":
    main()
