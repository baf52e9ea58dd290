"""Black-box checks of what Microsoft's pages say of calendars, against Graph or a look-alike.

    python probe_graph.py BASE TOKEN

BASE is the address without a path. Each check names its page under learn.microsoft.com/graph/ or
learn.microsoft.com/graph/api/; the few that say `seen` are on no page. It works in a calendar of its own, which it
removes. Notifications go to loopback, so that the checks of subscriptions only make sense against a look-alike.
"""

from __future__ import annotations

import sys

from graph_checks import CHECKS, Graph


def main(base: str, token: str) -> int:
    """How many checks failed."""
    graph, failed = Graph(base, token), 0
    for page, claim, run in CHECKS:
        try:
            run(graph)
        except Exception as error:  # noqa: BLE001 whatever goes wrong is a check that failed
            failed += 1
            print(f"FAIL | {page} | {claim} | {type(error).__name__}: {str(error)[:300]}")
        else:
            print(f"PASS | {page} | {claim}")
    graph.close()
    print(f"{len(CHECKS) - failed} of {len(CHECKS)}")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:3]), 1))
