"""What all tests of the suite stand on: signals as a terminal gives them."""

import signal


def pytest_configure() -> None:
    """Hear Ctrl-C and hang-ups, which what a CI starts in the background ignores.

    SmallRuns honour an ignored signal, as under nohup; those that tests start and end by signals
    inherit ours.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
