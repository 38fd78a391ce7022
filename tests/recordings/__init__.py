"""Real clusters as they were recorded, each a folder: `about.json`, and files in an archive.

Only reading and packing belong here. `python -m tests.record` makes recordings; what a recording
means to the suite is in `tests.judge` and `tests.unit.states`.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ARCHIVE, ABOUT = "files.tar.xz", "about.json"
# A window as long as the longest recording: states repeat each other nearly whole.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 64 << 20}]


@dataclass(frozen=True)
class Recording:
    """What one cluster answered.

    Attributes:
        name: `<istio>-<kubernetes>-<way>`, the folder's name.
    """

    name: str

    @cached_property
    def about(self) -> dict[str, Any]:
        """Versions, way of installation, and how it was made."""
        found: dict[str, Any] = json.loads((FOLDER / self.name / ABOUT).read_text())
        return found

    def text(self, path: str) -> str:
        """One file; KeyError where it was not recorded."""
        return _files(self.name)[path]

    def json(self, path: str) -> Any:
        """One file read as JSON; a new copy each time."""
        return json.loads(self.text(path))

    def names(self, folder: str, suffix: str) -> list[str]:
        """The files of a folder that end so, in order, without folder and suffix."""
        found = re.compile(f"{re.escape(folder)}/([^/]+){re.escape(suffix)}")
        matches = map(found.fullmatch, sorted(_files(self.name)))
        return [match[1] for match in matches if match]


@cache
def _files(name: str) -> Mapping[str, str]:
    packed = lzma.decompress((FOLDER / name / ARCHIVE).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {
            member.name: file.read().decode()
            for member in tar.getmembers()
            if (file := tar.extractfile(member))
        }


# Made by hand, before `tests.record` was there: a run's states, and meshes installed otherwise.
ISTIO_1_29 = Recording("1.29.6-1.34.4-native")
BY_HAND = {
    "": ISTIO_1_29,
    **{way: Recording(f"1.29.6-1.34.4-{way}") for way in ("classic", "revision", "helm")},
    "ambient": Recording("1.31.0-rc.0-1.37.2-ambient"),
}


def state_of(name: str) -> dict[str, list[dict[str, Any]]]:
    """Every object of a state that was recorded by hand, by kind; a new copy each time.

    Args:
        name: `4-injected` of a run, or with another way before it: `helm/injected`.
    """
    way, _, state = name.rpartition("/")
    of = BY_HAND[way]
    found: dict[str, list[dict[str, Any]]] = of.json(f"states/{state}.json")
    return found


def pack(folder: Path, about: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Write a recording; equal contents make equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(data := text.encode())
            tar.addfile(member, io.BytesIO(data))
    folder.mkdir(parents=True, exist_ok=True)
    archive = lzma.compress(packed.getvalue(), filters=FILTERS)
    (folder / ARCHIVE).write_bytes(archive)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n")


def recorded() -> list[str]:
    """The names of all recordings."""
    return sorted(about.parent.name for about in FOLDER.glob(f"*/{ABOUT}"))
