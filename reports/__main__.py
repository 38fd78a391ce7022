"""`python -m reports`: work with reports after a run: compare, history, bundle, verify, fleet.

Ends with 0, 1 for a regression or a bundle that is not whole, 2 for a command line that cannot be,
4 for a file that cannot be read or written; `fleet` with the exit code of the worst of its runs.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fixtures.run.options import REPORTS
from reports import history
from reports.bundle import NAME, collect, digest, pack, unpack
from reports.compare import FORMATS
from reports.differences import compare
from reports.fleet import names_of, read
from reports.fleet_page import PAGE, write
from reports.stored import FILE, Stored, Unreadable, below, printable

BAD_INPUT = 4
HISTORY = "history.html"


def main(arguments: list[str]) -> int:
    """Run one command; each mistake is one line."""
    given = parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except Unreadable as e:
        sys.stderr.write(f"{printable(str(e))}\n")
        return BAD_INPUT


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Work with reports.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("compare", help="what changed between two runs; 1 on a regression")
    add.add_argument("old", type=Path, metavar="OLD", help="report.json, its folder or a bundle")
    add.add_argument("new", type=Path, metavar="NEW", help="likewise, of the later run")
    add.add_argument("--format", choices=sorted(FORMATS), default="text")
    add.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    add.add_argument(
        "--require-all", action="store_true", help="a claim that is lost is a regression, too"
    )
    add.set_defaults(run=_compare)
    add = commands.add_parser("history", help="one page of all runs whose reports are in a folder")
    add.add_argument("folder", type=Path, metavar="DIR", help="reports are found at any depth")
    add.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"default: DIR/{HISTORY}")
    add.set_defaults(run=_history)
    add = commands.add_parser("bundle", help="one archive of all files of a run")
    add.add_argument("--reports-dir", type=Path, default=Path(REPORTS), metavar="DIR")
    add.add_argument("--output", type=Path, metavar="FILE", help=f"default: DIR/{NAME}")
    add.set_defaults(run=_bundle)
    add = commands.add_parser("fleet", help="one page of many clusters' reports; the worst's code")
    text = "folder with a folder of a run's files for each cluster"
    add.add_argument("folder", type=Path, metavar="DIR", help=text)
    text = "the clusters that ought to be there, a line each; default: those that are"
    add.add_argument("--clusters", type=Path, metavar="FILE", help=text)
    text = "how long to wait for audits that have not ended (0)"
    add.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help=text)
    add.set_defaults(run=_fleet)
    add = commands.add_parser("verify", help="whether a bundle is whole and unchanged; else 1")
    add.add_argument("file", type=Path, metavar="FILE")
    add.set_defaults(run=_verify)
    return parser


def _compare(given: argparse.Namespace) -> int:
    old, new = _stored(given.old), _stored(given.new)
    found = compare(old, new, require_all=given.require_all)
    text = FORMATS[given.format](found)
    if given.output:
        _write(given.output, text)
        _say(found.sentence)
    else:
        sys.stdout.write(text)
    return 1 if found.regressed else 0


def _stored(path: Path) -> Stored:
    """The report of a file, a folder or a bundle."""
    if not zipfile.is_zipfile(path):
        return Stored.read(path)
    files, wrong = unpack(path)
    if wrong:
        raise Unreadable(f"{path}: {wrong[0]}; see python -m reports verify")
    return Stored.parse(files[FILE], str(path))


def _history(given: argparse.Namespace) -> int:
    runs, wrong = below(given.folder)
    sys.stderr.writelines(f"not read: {printable(line)}\n" for line in wrong)
    if not runs:
        raise Unreadable(f"{given.folder}: there is no report below it; name a folder with some")
    found = history.histories(runs)
    path = given.output or given.folder / HISTORY
    _write(path, history.page(found, wrong))
    red = sum(len(one.red) for one in found)
    subjects = f"{len(found)} subject{'s'[: len(found) > 1]}"
    _say(f"{path}: {len(runs)} run{'s'[: len(runs) > 1]} of {subjects}, {red} claims red now")
    return 0


def _bundle(given: argparse.Namespace) -> int:
    files = collect(given.reports_dir)
    run = _run_of(files, given.reports_dir)
    path = given.output or given.reports_dir / NAME
    try:
        pack(files, path)
    except OSError as e:
        raise Unreadable(f"{path}: cannot be written ({e.strerror}); name another file") from None
    _say(f"{path}: {len(files)} files, {path.stat().st_size} bytes", f"sha256 {digest(path)}", run)
    return 0


def _fleet(given: argparse.Namespace) -> int:
    names = names_of(given.clusters) if given.clusters else None
    fleet = read(given.folder, names)
    write(fleet, given.folder)  # so that there is a page, whatever ends the waiting
    if given.wait and not fleet.complete:
        fleet = read(given.folder, names, given.wait)
        write(fleet, given.folder)
    _say(fleet.headline, fleet.sentence, str(given.folder / PAGE))
    return fleet.exit_code


def _verify(given: argparse.Namespace) -> int:
    files, wrong = unpack(given.file)
    if wrong:
        _say(*(f"{given.file}: {line}" for line in wrong))
        return 1
    line = f"{given.file}: whole and unchanged, {len(files) - 1} files"
    _say(line, f"sha256 {digest(given.file)}", _run_of(files, given.file))
    return 0


def _run_of(files: Mapping[str, bytes], where: Path) -> str:
    """What the report in it is about, and its verdict."""
    return str(Stored.parse(files[FILE], f"{where}: {FILE}"))


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as e:
        raise Unreadable(f"{path}: cannot be written ({e.strerror}); name another file") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
