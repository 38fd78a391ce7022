"""The options of a run on a command line of their own, without pytest's."""

import argparse

from fixtures.run import options


def option_parser() -> argparse.ArgumentParser:
    """Declare them, and paths beside them; `fixtures.run.options.read` takes what it returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs="*")

    class Group:
        addoption = staticmethod(parser.add_argument)

    class Parser:
        @staticmethod
        def getgroup(*_: str, **__: str) -> type[Group]:
            return Group

    options.pytest_addoption(Parser())  # type: ignore[arg-type]  # all that it uses of a parser
    return parser
