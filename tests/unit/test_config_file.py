"""`seatrial.toml`: what it may hold, that the command line wins, and how a mistake is told."""

import json
import os
from pathlib import Path

import jsonschema
import msgspec
import pytest

from fixtures.run import config_file
from fixtures.run.cluster import PROVIDERS
from fixtures.run.config_file import BadFile, ConfigFile
from fixtures.run.config_options import Options
from fixtures.run.options import PROFILES
from fixtures.run.toml_lines import line_of
from reports import schema_page
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

CLAIM = "@so()\ndef test_a(cluster): inspected_one(1)\n"
WHOLE = """
#:schema https://example.com/seatrial.schema.json
provider = "existing"   # and [a bracket
kube-context = "prod"
profile = "readonly"
require = [
  "ingress-gateway", # [
  "writes",
]
patience = 2
reports-dir = "out"
"""


@pytest.fixture
def runs(pytester: pytest.Pytester) -> SmallRuns:
    made = SmallRuns(pytester).begin()
    made.claims("01_cluster", CLAIM)
    return made


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / config_file.NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, text: str | bytes) -> str:
    path = written(folder, text)
    with pytest.raises(BadFile) as e:
        config_file.read(path)
    assert "\n" not in str(e.value)
    return str(e.value).removeprefix(str(path))


def test_a_file_says_what_the_command_line_says(tmp_path: Path) -> None:
    assert config_file.read(written(tmp_path, WHOLE)).options == {
        "provider": "existing",
        "kube_context": "prod",
        "profile": "readonly",
        "require": ["ingress-gateway", "writes"],
        "patience": "2",
        "reports_dir": str(tmp_path / "out"),
    }


@pytest.mark.parametrize(
    "text", [b"", b"\n# nothing\n", b'\xef\xbb\xbfprofile = "smoke"', b'profile = "smoke"\r\n']
)
def test_a_file_of_any_editor_is_read(tmp_path: Path, text: bytes) -> None:
    assert set(config_file.read(written(tmp_path, text)).options) <= {"profile"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('\nprofil = "x"', ", line 2: profil: unknown; did you mean profile? There are provider,"),
        ('kube_context = "x"', ", line 1: kube_context: unknown; did you mean kube-context or"),
        ('profile = "smoky"', ', line 1: profile = "smoky": unknown; did you mean smoke?'),
        ('a = "x', ": Unterminated string (at end of document); it is no TOML"),
        ('mesh = "ambiant"', ', line 1: mesh = "ambiant": unknown; did you mean ambient?'),
        ("\n\n= 1", ", line 3: Invalid statement; it is no TOML"),
        ("x = 1\nx = 2\n", ", line 2: Cannot overwrite a value; it is no TOML"),
        ('patience = "2"', ', line 1: patience = "2": this needs a number'),
        ("patience = 0", ", line 1: patience = 0: this needs a number > 0"),
        ("istio-version = 1.3", ", line 1: istio-version = 1.3: this needs a text in quotes"),
        ('kube-version = "new"', ': kube-version = "new": a version like 1.30 or 1.30.3 is'),
        ("in-cluster = 1", ", line 1: in-cluster = 1: this needs true or false"),
        ('require = "writes"', ', line 1: require = "writes": this needs a list in [ ]'),
        ('\nrequire = [\n"writes",\n"x"]', ", line 2: require = ['writes', 'x']: unknown; there"),
        ('kube-context = ""', ': kube-context = "": this needs a text in quotes of length >= 1'),
        ("[profile]\nx = 1", ", line 1: profile = {'x': 1}: this needs a text in quotes"),
        ("[[profil]]\n[[profil]]", ", line 1: profil: unknown; did you mean profile?"),
        ('profile = "' + "ü" * 99 + '"', "ü...: unknown; there are smoke"),
        (b"profile = '\xff'", ": is not written in UTF-8 (byte 11)"),
        ("#" * 2_000_000, ": larger than 1000 kB, which is no seatrial.toml"),
        ("x = " + "[" * 50_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    with pytest.raises(BadFile, match="Is a directory"):
        config_file.read(path.parent)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["a"], 2),
        (["text"], 3),
        (["list"], 8),
        (["list", 1], 8),
        (["expect"], 14),
        (["expect", 0, "url"], 15),
        (["expect", 0, "headers"], 16),
        (["expect", 0, "headers", "x"], 17),
        (["expect", 1], 19),
        (["expect", 1, "json", "b"], 20),
        (["expect", 1, "not there"], 19),
        (["deep", "er", "x"], 23),
        (["not there"], 1),
    ],
)
def test_a_line_is_found_whatever_stands_before_it(path: list[str | int], line: int) -> None:
    text = """# [
a.b = 1
text = \"\"\"
expect = 1
[expect]
\"\"\"

list = [ # ]
  '''
]''',
  "]",
]

[[expect]]
url = "#"
[expect.headers]
x = "y"

[[expect]]
json = { a = 1, b = 'it"s' }

[deep]
er = { x = 1 }
"""
    assert line_of(text, path) == line


def test_the_nearest_file_upwards_is_taken(tmp_path: Path) -> None:
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    above = written(tmp_path, "")
    assert config_file.found(here) == above
    (here / config_file.NAME).mkdir()  # a folder of that name is none
    assert config_file.found(here) == above
    nearer = written(here.parent, "")
    assert config_file.found(here) == nearer
    nearer.unlink()
    nearer.symlink_to(above)
    assert config_file.found(here) == nearer


def test_a_file_of_another_user_is_taken_only_if_it_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, here = written(tmp_path, ""), tmp_path / "here"
    here.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    if above.stat().st_uid == 0:
        real = Path.stat
        monkeypatch.setattr(Path, "stat", lambda path: _as_of(4712, real(path)))
    with pytest.raises(BadFile, match=r"another user; if it is meant, say --config"):
        config_file.found(here)
    assert config_file.found(here, str(above)) == above
    assert config_file.found(tmp_path) == above


def _as_of(user: int, real: os.stat_result) -> os.stat_result:
    return os.stat_result((*real[:4], user, *real[5:]))


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("--profile smoke", {"provider", "kube_context", "profile"}),
        ("--provider embedded", {"provider", "profile"}),
        ("--provider=existing", {"provider", "kube_context", "profile"}),
        ("--in-cluster", {"provider", "profile"}),
        ("--kubeconfig x", {"provider", "kube_context", "profile"}),
    ],
)
def test_what_the_command_line_says_of_the_cluster_leaves_out_the_rest(
    typed: str, left: set[str]
) -> None:
    said = {"provider": "existing", "kube_context": "prod", "profile": "readonly"}
    file = ConfigFile(Path("x"), said)
    assert set(file.defaults(config_file.typed_options(typed.split()))) == left


def test_every_option_of_a_file_is_one_of_the_command_line(pytester: pytest.Pytester) -> None:
    config = SmallRuns(pytester).begin().pytester.parseconfig("suites")
    known = set(vars(config.option))
    assert {one.name for one in msgspec.structs.fields(Options)} <= known


def test_the_declaration_knows_every_provider_and_profile() -> None:
    found = schema_page.schema()["properties"]
    assert set(found["provider"]["enum"]) == {"auto", *PROVIDERS}
    assert set(found["profile"]["enum"]) == set(PROFILES)


def test_the_schema_takes_what_the_file_takes(tmp_path: Path) -> None:
    schema = schema_page.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"profile": "smoke", "patience": 2}, schema)
    for wrong in ({"profil": "smoke"}, {"profile": "smoky"}, {"patience": 0}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
        name, value = next(iter(wrong.items()))
        refused(tmp_path, f"{name} = {json.dumps(value)}")


# In a run


def test_a_run_takes_its_options_from_the_file(runs: SmallRuns) -> None:
    path = written(runs.pytester.path, 'profile = "readonly"\nreports-dir = "reports/out"')
    ended = runs.run()
    assert ended.code == 0
    assert ended.report["subject"]["profile"] == "readonly"
    assert f"Options were read from {path}." in ended.report["notes"]
    assert "--config seatrial.toml" in ended.report["command"]


def test_the_command_line_wins(runs: SmallRuns) -> None:
    written(runs.pytester.path, 'profile = "readonly"\nkube-context = "prod"')
    assert runs.run("--profile", "smoke").report["subject"]["profile"] == "smoke"
    assert runs.run("--no-config").report["subject"]["profile"] == "smoke"


def test_a_bad_file_ends_the_run_before_it_begins(runs: SmallRuns) -> None:
    path = written(runs.pytester.path, '\nprofile = "smoky"')
    ended = runs.run()
    assert ended.code == 4
    assert f'{path}, line 2: profile = "smoky": unknown; did you mean smoke?' in ended.output
    assert "PROVIDED" not in ended.output
    assert not ended.report["complete"]


def test_options_that_do_not_go_together_are_told_with_their_file(runs: SmallRuns) -> None:
    path = written(runs.pytester.path, 'profile = "readonly"')
    ended = runs.run("--prove")
    assert ended.code == 4
    assert f"--prove: not with --profile readonly, which writes nothing (--profile: {path})" in (
        ended.output
    )


def test_a_named_file_that_is_not_there_ends_the_run(runs: SmallRuns) -> None:
    ended = runs.run("--config", "none.toml")
    assert (ended.code, "--config none.toml: there is no such file" in ended.output) == (4, True)
