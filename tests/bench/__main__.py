"""`python -m tests.bench [audit PODS | fleet CLUSTERS | OPTIONS]`: which bench is run.

`audit` and `fleet` are of their own (`tests.bench.audit`, `tests.bench.fleet`). All else is what
writing reports costs (`tests.bench.reports`), then a run on the embedded cluster
(`tests.bench.run`, with its options).
"""

from __future__ import annotations

import sys

from tests.bench import audit, fleet, reports, run


def main(arguments: list[str]) -> int:
    """Run what was asked for; the first that costs too much says so."""
    if arguments[:1] == ["audit"]:
        return audit.main(arguments[1:])
    if arguments[:1] == ["fleet"]:
        return fleet.main(arguments[1:])
    return reports.main([]) or run.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
