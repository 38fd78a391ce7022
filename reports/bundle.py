"""One archive of all files of a run, to be attached to a release, and whether one is still whole.

A zip file, which every machine opens, with `SHA256SUMS` in the form of `sha256sum --check`. The
same files make the same bytes: nothing of the time, the machine or the user stands in it. What
reads one trusts nothing: it unpacks to nowhere, and only what it has measured before.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from reports.stored import FILE, Unreadable

NAME = "bundle.zip"
SUMS = "SHA256SUMS"
WRITTEN = ("report.html", FILE, "junit.xml", "summary.md", "statement.yaml")
PROOF = "prove.md"
ALSO = (PROOF, "table.html", "metrics.prom", "diagnostics")
MOST_FILES = 5_000
MOST_BYTES = 256 * 1024 * 1024
BEFORE_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
READABLE = stat.S_IFREG | 0o644
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED, TRAILED = 0x1, 0x8
HEADER, END = 30, 22
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def collect(folder: Path) -> dict[str, bytes]:
    """The files of a run, by name.

    Raises:
        Unreadable: one is missing, is no plain file, or is too large.
    """
    paths = [folder / name for name in WRITTEN]
    for path in (folder / name for name in ALSO):
        paths += sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
    held: dict[str, bytes] = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise Unreadable(f"{path}: is a link; a bundle holds plain files only")
        if path.is_dir() or (name in ALSO and not path.exists()):
            continue
        try:
            held[name] = path.read_bytes()
        except OSError as e:
            line = f"{path}: cannot be read ({e.strerror})"
            raise Unreadable(f"{line}; name a folder with --reports-dir") from None
        if len(held) > MOST_FILES or sum(map(len, held.values())) > MOST_BYTES:
            raise Unreadable(f"{folder}: holds more than any run writes; is it the right folder?")
    return held


def sums(files: Mapping[str, bytes]) -> str:
    """The manifest's text."""
    digests = ((hashlib.sha256(files[name]).hexdigest(), name) for name in sorted(files))
    return "".join(f"{digest}  {name}\n" for digest, name in digests)


def pack(files: Mapping[str, bytes], path: Path) -> None:
    """Write the archive, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(part, "w") as archive:
        for name, content in [(SUMS, sums(files).encode()), *sorted(files.items())]:
            entry = zipfile.ZipInfo(name, BEFORE_TIME)
            entry.create_system, entry.external_attr = 3, READABLE << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    part.replace(path)


def digest(path: Path) -> str:
    """The SHA-256 of the archive itself, to be written down elsewhere."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """What an archive holds, and what is wrong with it, a line each; nothing if it is refused.

    Raises:
        Unreadable: there is no such file, or it may not be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if refused := list(_refused(entries)):
                return {}, refused
            files, wrong = _content(archive, entries)
            wrong += _between(path, archive, entries)
    except OSError as e:
        line = f"{path}: cannot be read ({e.strerror}); name a bundle"
        raise Unreadable(line) from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        return {}, ["it is no zip file, or it is cut off"]
    return files, wrong + list(_against_sums(files))


def _refused(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """What no bundle of ours holds, and what could do harm where it is unpacked."""
    if len(entries) > MOST_FILES:
        yield f"refused: it holds {len(entries)} files"
        return
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        yield f"refused: it would unpack to {total} bytes"
    names = Counter(entry.filename.casefold() for entry in entries)
    for entry in entries:
        name, mode = entry.filename, entry.external_attr >> 16
        if names[name.casefold()] > 1:
            yield f"{name}: refused: there are several of this name"
        if not _plain(name) or entry.orig_filename != name:
            yield f"{name}: refused: it leads out of the folder that it is unpacked to"
        if stat.S_ISLNK(mode):
            yield f"{name}: refused: it is a link"
        elif not stat.S_ISREG(mode):
            yield f"{name}: refused: it is no plain file"
        if entry.flag_bits & ENCRYPTED:
            yield f"{name}: refused: it is encrypted"
        if entry.compress_type not in METHODS:
            yield f"{name}: refused: it is packed in an unusual way"


def _plain(name: str) -> bool:
    """Whether a name stays below the folder, on every system."""
    parts = PurePosixPath(name).parts
    odd = "\\" in name or ":" in name or not name.isprintable() or name.endswith("/")
    return not odd and "/".join(parts) == name and not {"..", "/", "."} & set(parts)


def _content(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]
) -> tuple[dict[str, bytes], list[str]]:
    """Every file's bytes, of which there are no more than announced."""
    files: dict[str, bytes] = {}
    wrong: list[str] = []
    for entry in entries:
        try:
            with archive.open(entry) as file:
                files[entry.filename] = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            wrong.append(f"{entry.filename}: damaged: it cannot be unpacked")
            files[entry.filename] = b""
    return files, wrong


def _between(
    path: Path, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]
) -> Iterator[str]:
    """Bytes of the archive that belong to no file: something was put there."""
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset != at or entry.flag_bits & TRAILED:
            break
        at += HEADER + len(entry.filename.encode()) + entry.compress_size
    extra = any(entry.extra or entry.comment for entry in entries) or archive.comment
    listed = sum(46 + len(entry.filename.encode()) for entry in entries)
    if extra or at != archive.start_dir or path.stat().st_size != at + listed + END:
        yield "the archive holds bytes that belong to no file"


def _against_sums(files: Mapping[str, bytes]) -> Iterator[str]:
    if SUMS not in files:
        yield f"{SUMS}: missing: the sums of the files are gone"
        return
    known: dict[str, str] = {}
    for number, line in enumerate(files[SUMS].decode(errors="replace").splitlines(), 1):
        found = LINE.fullmatch(line)
        if found is None or found[2] in known:
            yield f"{SUMS}: line {number} is no sum, or is there twice"
            continue
        known[found[2]] = found[1]
    for name in sorted({*known, *WRITTEN} - set(files)):
        yield f"{name}: missing"
    for name in sorted(set(files) - {SUMS}):
        if name not in known:
            yield f"{name}: added: {SUMS} does not know it"
        elif hashlib.sha256(files[name]).hexdigest() != known[name]:
            yield f"{name}: changed: it differs from {SUMS}"
