"""`bundle` and `verify`: one archive that is whole and unchanged, or what is wrong with it."""

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import bundle
from reports.__main__ import main
from reports.data import as_json
from tests.small_runs import SmallRuns
from tests.unit.runs import good

pytest_plugins = ["pytester"]

FILES = ("report.html", "junit.xml", "summary.md", "statement.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run left, with something beside it that is not its own."""
    made = tmp_path / "out"
    (made / "diagnostics" / "03-sample").mkdir(parents=True)
    (made / "diagnostics" / "03-sample" / "events.txt").write_text("Warning BackOff\n" * 100)
    for name in FILES:
        (made / name).write_text(name)
    (made / "report.json").write_text(json.dumps(as_json(good("rehearsal"))))
    (made / "kubeconfig").write_text("token: not-ours")
    return made


@pytest.fixture
def file(folder: Path) -> Path:
    """The bundle of it."""
    assert main(["bundle", "--reports-dir", str(folder)]) == 0
    return folder / "bundle.zip"


def verified(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code and the lines, without the file's name."""
    capsys.readouterr()
    code = main(["verify", str(file)])
    return code, [line.removeprefix(f"{file}: ") for line in capsys.readouterr().out.splitlines()]


def test_a_bundle_holds_the_runs_files_and_nothing_else(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    assert names == [
        "SHA256SUMS",
        "diagnostics/03-sample/events.txt",
        *sorted([*FILES, "report.json"]),
    ]


def test_the_gauges_go_along_where_a_run_wrote_them(folder: Path, tmp_path: Path) -> None:
    (folder / "metrics.prom").write_text("# EOF\n")
    file = tmp_path / "with.zip"
    assert main(["bundle", "--reports-dir", str(folder), "--output", str(file)]) == 0
    assert main(["verify", str(file)]) == 0
    with zipfile.ZipFile(file) as archive:
        assert "metrics.prom" in archive.namelist()


def test_the_same_content_makes_the_same_bytes(file: Path, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    other = tmp_path / "other.zip"
    assert main(["bundle", "--reports-dir", str(folder), "--output", str(other)]) == 0
    assert other.read_bytes() == file.read_bytes()


def test_a_whole_bundle_says_so_and_what_it_is_about(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = verified(file, capsys)
    assert code == 0
    assert lines[0] == "whole and unchanged, 6 files"
    assert lines[1] == f"sha256 {bundle.digest(file)}"
    assert "Rehearsal passed" in lines[2]


def test_a_bundle_can_be_compared(file: Path) -> None:
    assert main(["compare", str(file), str(file)]) == 0


def changed(file: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Write the archive again, with other files in it."""
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param(
            lambda files: files.update({"summary.md": b"fine"}),
            "summary.md: changed: it differs from SHA256SUMS",
            id="a file changed",
        ),
        pytest.param(lambda files: files.pop("junit.xml"), "junit.xml: missing", id="a file gone"),
        pytest.param(
            lambda files: files.update({"more.txt": b""}),
            "more.txt: added: SHA256SUMS does not know it",
            id="a file added",
        ),
        pytest.param(
            lambda files: files.pop("SHA256SUMS"),
            "SHA256SUMS: missing: the sums of the files are gone",
            id="no manifest",
        ),
        pytest.param(
            lambda files: files.update({"SHA256SUMS": files["SHA256SUMS"] + b"\xff\n"}),
            "SHA256SUMS: line 7 is no sum, or is there twice",
            id="a manifest that cannot be read",
        ),
        pytest.param(
            lambda files: files.update({"SHA256SUMS": b"", "report.json": b""}),
            "report.json: added: SHA256SUMS does not know it",
            id="an empty manifest",
        ),
    ],
)
def test_each_kind_of_damage_has_its_line(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, bytes]], object],
    line: str,
) -> None:
    changed(file, change)
    code, lines = verified(file, capsys)
    assert code == 1
    assert line in lines


def test_a_bundle_without_its_report_is_not_whole(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(files: dict[str, bytes]) -> None:
        del files["report.json"]
        files["SHA256SUMS"] = bundle.sums(
            {n: c for n, c in files.items() if n != "SHA256SUMS"}
        ).encode()

    changed(file, without)
    assert verified(file, capsys) == (1, ["report.json: missing"])


def test_a_bit_that_flipped_is_seen_wherever_it_is(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, content = file.read_bytes(), bundle.unpack(file)[0]
    for at in range(0, len(whole), 37):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        code, lines = verified(file, capsys)
        # What is left unseen (a file's time, the version of zip that it needs) is no content.
        assert (code == 1 and lines) or bundle.unpack(file) == (content, []), at


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        pytest.param(lambda b: b[:-30], "it is no zip file, or it is cut off", id="cut off"),
        pytest.param(lambda b: b[: len(b) // 2], "it is no zip file, or it is cut off", id="half"),
        pytest.param(lambda b: b"", "it is no zip file, or it is cut off", id="empty"),
        pytest.param(lambda b: b"hello", "it is no zip file, or it is cut off", id="other"),
        pytest.param(
            lambda b: b"#!/bin/sh\n" + b,
            "the archive holds bytes that belong to no file",
            id="before",
        ),
        pytest.param(
            lambda b: b[:-2] + b"\x05\x00hello",
            "the archive holds bytes that belong to no file",
            id="a comment",
        ),
    ],
)
def test_damage_of_the_archive_itself(
    file: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes], line: str
) -> None:
    file.write_bytes(damage(file.read_bytes()))
    assert verified(file, capsys) == (1, [line])


def test_content_that_cannot_be_unpacked_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(file) as archive:
        at = archive.getinfo("report.json").header_offset + 60
    whole = bytearray(file.read_bytes())
    whole[at : at + 8] = b"\xff" * 8
    file.write_bytes(whole)
    code, lines = verified(file, capsys)
    assert code == 1
    assert "report.json: damaged: it cannot be unpacked" in lines


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


@pytest.mark.parametrize(
    ("hostile", "line"),
    [
        (entry("../etc/passwd"), "../etc/passwd: refused: it leads out"),
        (entry("/etc/passwd"), "/etc/passwd: refused: it leads out"),
        (entry("a/../../b"), "a/../../b: refused: it leads out"),
        (entry("C:\\windows"), "C:\\windows: refused: it leads out"),
        (entry("./a"), "./a: refused: it leads out"),
        (entry("a/", stat.S_IFDIR | 0o755), "a/: refused: it leads out"),
        (entry("link", stat.S_IFLNK | 0o777), "link: refused: it is a link"),
        (entry("pipe", stat.S_IFIFO | 0o666), "pipe: refused: it is no plain file"),
        (entry("REPORT.json"), "REPORT.json: refused: there are several of this name"),
        (entry("\x1b[2Jx"), "�[2Jx: refused: it leads out"),
    ],
    ids=lambda value: value.filename if isinstance(value, zipfile.ZipInfo) else "",
)
def test_a_hostile_name_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], hostile: zipfile.ZipInfo, line: str
) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(hostile, b"x")
    code, lines = verified(file, capsys)
    assert code == 1
    assert [one for one in lines if one.startswith(line)]


def test_a_bomb_is_refused_before_it_is_unpacked(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(40):
            archive.writestr(
                entry(f"diagnostics/{number}"), bytes(8 * 1024 * 1024), zipfile.ZIP_DEFLATED
            )
    file.write_bytes(held.getvalue())
    assert file.stat().st_size < 1024 * 1024
    code, lines = verified(file, capsys)
    assert (code, lines) == (1, [f"refused: it would unpack to {40 * 8 * 1024 * 1024} bytes"])


def test_a_file_that_says_less_than_it_holds_is_not_unpacked_whole(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo("diagnostics/03-sample/events.txt").file_size
    whole = file.read_bytes().replace(size.to_bytes(4, "little"), (3).to_bytes(4, "little"))
    file.write_bytes(whole)
    code, lines = verified(file, capsys)
    assert code == 1
    assert any("events.txt" in line for line in lines)


def test_more_files_than_any_run_writes_are_refused(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MOST_FILES", 3)
    assert verified(file, capsys) == (1, ["refused: it holds 7 files"])


def test_an_encrypted_file_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(file) as archive:
        name = b"summary.md"
        assert archive.getinfo("summary.md").flag_bits == 0
    whole = bytearray(file.read_bytes())
    central = whole.rindex(name) - 46  # its entry in the directory at the end
    whole[central + 8] |= 1
    file.write_bytes(whole)
    code, lines = verified(file, capsys)
    assert code == 1
    assert "summary.md: refused: it is encrypted" in lines


@pytest.mark.parametrize("missing", [*FILES, "report.json"])
def test_a_folder_without_a_runs_files_cannot_be_bundled(
    folder: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    (folder / missing).unlink()
    assert main(["bundle", "--reports-dir", str(folder)]) == 4
    [line] = capsys.readouterr().err.splitlines()
    assert f"{missing}: cannot be read" in line
    assert not (folder / "bundle.zip").exists()


@pytest.mark.parametrize("name", ["summary.md", "diagnostics/link", "diagnostics"])
def test_a_link_is_not_followed(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = folder / name
    if path.is_dir():
        path.rename(folder / "elsewhere")
    path.unlink(missing_ok=True)
    path.symlink_to(folder / "kubeconfig")
    assert main(["bundle", "--reports-dir", str(folder)]) == 4
    assert "is a link" in capsys.readouterr().err


def test_a_folder_that_is_too_large_is_no_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 1_000)
    assert main(["bundle", "--reports-dir", str(folder)]) == 4
    assert "is it the right folder?" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_written_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(folder / "none" / "b.zip")
    assert main(["bundle", "--reports-dir", str(folder), "--output", output]) == 4
    assert "cannot be written" in capsys.readouterr().err


def test_no_file_to_verify_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path / "none.zip")]) == 4
    assert main(["verify", str(tmp_path)]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_report_that_is_none_is_not_bundled(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report.json").write_text("{}")
    assert main(["bundle", "--reports-dir", str(folder)]) == 4
    assert "no whole report" in capsys.readouterr().err


def test_a_run_leaves_no_bundle_of_the_one_before(runs: SmallRuns) -> None:
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)\n")
    folder = runs.run().folder
    assert main(["bundle", "--reports-dir", str(folder)]) == 0
    assert main(["verify", str(folder / "bundle.zip")]) == 0
    (folder / "prove.md").write_text("of another run")
    runs.run()
    assert not (folder / "bundle.zip").exists()
    assert not (folder / "prove.md").exists()
