"""Stage 17: what tables `[[expect]]` of seatrial.toml expect, a claim each, with its own sentence.

Without such a file there is none; what a table may hold is in docs/your-own-claims.md.
"""

from fixtures.istio.expected.callers import Callers
from fixtures.istio.expected.modes import Modes
from fixtures.istio.expected.rising import Metrics
from fixtures.istio.expected.rows import Mode, Reached, Rising, Served
from fixtures.istio.expected.served import ServedHosts


def test_served(served_hosts: ServedHosts, served: Served) -> None:
    served_hosts.expect_served(served)


def test_mode(modes: Modes, mode: Mode) -> None:
    modes.expect_mode(mode)


def test_mutual_tls(callers: Callers, mutual_tls_mode: Mode) -> None:
    callers.expect_mutual_tls(mutual_tls_mode)


def test_reached(callers: Callers, reached: Reached) -> None:
    callers.expect_reached(reached)


def test_rising(metrics: Metrics, rising: Rising) -> None:
    metrics.expect_rising(rising)
