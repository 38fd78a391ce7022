"""A download comes whole and checked, or one line says why not, whatever the server does."""

import errno
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fixtures.providers.base import ProvisioningFailed
from fixtures.providers.kind import download
from fixtures.providers.kind.download import Download, fetched

FILE = b"#!/bin/sh\necho a tool\n" * 50_000
PIECE = 3 * download.CHUNK


class Publisher(http.server.ThreadingHTTPServer):
    """Serves files, and may misbehave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.kind = "application/octet-stream"
        self.cut = 0
        self.ranges: list[str] = []
        self.paths: list[str] = []

    def publish(self, content: bytes, sha256: str = "") -> None:
        self.files["/tool"] = content
        message = sha256 or hashlib.sha256(content).hexdigest()
        self.files["/tool.sha256"] = f"{message} tool\n".encode()

    def to(self, target: Path, unpack: str = "") -> Download:
        url = f"http://127.0.0.1:{self.server_port}/tool"
        return Download(url, f"{url}.sha256", target, unpack)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if requested := self.headers.get("Range"):
            self.server.ranges.append(requested)
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
        if start > len(content):
            self.send_error(416)
            return
        self.send_response(206 if requested else 200)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if self.path == "/tool" and self.server.cut:
            end, self.server.cut = start + PIECE, self.server.cut - 1
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's own name
        pass


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Publisher()
    server.publish(FILE)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_tool_comes_once_and_can_be_run(publisher: Publisher, tmp_path: Path) -> None:
    wanted = publisher.to(tmp_path / "cache" / "tool")
    assert fetched(wanted).read_bytes() == FILE
    assert wanted.target.stat().st_mode & 0o111
    publisher.files.clear()
    assert fetched(wanted) == wanted.target


def test_a_broken_connection_is_resumed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.cut = 2
    assert fetched(publisher.to(tmp_path / "tool")).read_bytes() == FILE
    assert publisher.ranges == [f"bytes={PIECE}-", f"bytes={2 * PIECE}-"]


def test_what_came_is_kept_for_the_next_run(publisher: Publisher, tmp_path: Path) -> None:
    publisher.cut = 3
    with pytest.raises(ProvisioningFailed, match=r"broke 3 times.*the next run goes on"):
        fetched(publisher.to(tmp_path / "tool"))
    assert fetched(publisher.to(tmp_path / "tool")).read_bytes() == FILE
    assert publisher.ranges[-1] == f"bytes={3 * PIECE}-"


def test_a_rest_that_does_not_fit_is_begun_anew(publisher: Publisher, tmp_path: Path) -> None:
    publisher.to(tmp_path / "tool").part.write_bytes(b"x" * (len(FILE) + 5))
    assert fetched(publisher.to(tmp_path / "tool")).read_bytes() == FILE


def test_two_runs_that_download_at_once_share_one_download(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(archive("istio-1.29.6"))
    wanted = publisher.to(tmp_path / "istio", unpack="istio-1.29.6")
    results: list[Path | Exception] = []

    def run() -> None:
        try:
            results.append(fetched(wanted))
        except Exception as e:  # noqa: BLE001  # whatever it is, the test shows it
            results.append(e)

    runs = [threading.Thread(target=run) for _ in range(4)]
    for one in runs:
        one.start()
    for one in runs:
        one.join(30)
    assert results == [wanted.target] * 4
    assert (wanted.target / "bin" / "istioctl").read_bytes() == FILE
    assert publisher.paths.count("/tool") == 1


def held(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


def refused(publisher: Publisher, folder: Path, words: str, unpack: str = "") -> None:
    """It ends in one line with these words, and nothing is left."""
    with pytest.raises(ProvisioningFailed, match=words) as raised:
        fetched(publisher.to(folder / "tool", unpack))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 10
    assert held(folder) == []


def test_a_mismatch_deletes_and_stops(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(FILE, sha256="0" * 64)
    refused(publisher, tmp_path, r"the publisher says 000000000000.*the file was deleted")


def test_a_proxys_page_is_no_file(publisher: Publisher, tmp_path: Path) -> None:
    publisher.kind = "text/html; charset=utf-8"
    refused(publisher, tmp_path, r"a page of HTML came.*HTTPS_PROXY.*--istio-dir")


def test_a_checksum_file_without_a_checksum(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/tool.sha256"] = b"<!doctype html><title>Log in</title>"
    refused(publisher, tmp_path, "no SHA-256 in it")


def test_a_version_that_is_not_there(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files.clear()
    refused(publisher, tmp_path, r"HTTP 404 Not Found; is there such a version\?")


def test_nobody_listens(publisher: Publisher, tmp_path: Path) -> None:
    publisher.shutdown()
    publisher.server_close()
    refused(publisher, tmp_path, "without a network use local files: --kind-bin")


def test_a_full_disk(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download._Bar, "__call__", full)
    refused(publisher, tmp_path, r"the disk is full.*set XDG_CACHE_HOME")


def archive(root: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as packed:
        entry = tarfile.TarInfo(f"{root}/bin/istioctl")
        entry.size, entry.mode = len(FILE), 0o755
        packed.addfile(entry, io.BytesIO(FILE))
    return held.getvalue()


def test_an_archive_is_unpacked_without_its_root(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(archive("istio-1.29.6"))
    folder = fetched(publisher.to(tmp_path / "istio", unpack="istio-1.29.6"))
    assert (folder / "bin" / "istioctl").read_bytes() == FILE
    assert held(tmp_path) == [folder]


def test_an_archive_is_unpacked_by_a_python_without_filters(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(archive: tarfile.TarFile, path: Path) -> None:
        unpacked(archive, path, **safe)

    safe: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    unpacked = tarfile.TarFile.extractall
    monkeypatch.setattr(tarfile.TarFile, "extractall", old)
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    publisher.publish(archive("istio-1.29.6"))
    folder = fetched(publisher.to(tmp_path / "istio", unpack="istio-1.29.6"))
    assert (folder / "bin" / "istioctl").read_bytes() == FILE


def test_a_run_waits_no_longer_than_a_download_may_take(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = publisher.to(tmp_path / "tool")
    with wanted.lock:
        monkeypatch.setattr(download, "WHOLE_SECONDS", 0.1)
        failed = pytest.raises(ProvisioningFailed, match=r"another run has not .*tool\.lock")
        with failed, ThreadPoolExecutor() as thread:
            thread.submit(fetched, wanted).result()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(archive("istio-1.29.6")[:60], id="truncated"),
        pytest.param(archive("other"), id="of something else"),
        pytest.param(b"garbage", id="no archive"),
    ],
)
def test_an_archive_that_is_none(publisher: Publisher, tmp_path: Path, content: bytes) -> None:
    publisher.publish(content)
    refused(publisher, tmp_path, "truncated or not one of Istio", unpack="istio-1.29.6")
