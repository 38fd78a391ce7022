"""Every sample in README and docs is run, parsed or produced again here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from fixtures.claims import ClaimFailed
from fixtures.k8s.deployment import Deployment
from fixtures.run import config_file, options
from tests.option_parser import option_parser
from tests.small_runs import SmallRuns

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
    if path.name not in {"claims.md", "versions.md", "nouns.md"}  # made of the code
]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# What stands for a name of the reader's.
PLACES = {"NAME": "gateway-object-deleted", "NEW": "1.31"}
# Options that name something of the reader's, which has to be there.
FILES = ("--kind-bin", "--image-archive", "--istio-values", "--kubeconfig")
# Commands of others: only what they name of ours is looked at.
FOREIGN = {
    "docker",
    "helm",
    "kubectl",
    "sonobuoy",
    "git",
    "export",
    ".",
    "python3",
    ".venv/bin/pip",
}
PYTEST_ENVIRONMENTS = {"smoke", "conformance", "prove"}


@dataclass(frozen=True)
class Sample:
    """One fenced block of a page."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {' '.join(self.text.split())}"


def samples(language: str) -> list[Sample]:
    found = []
    for page in PAGES:
        for indent, its, text in FENCE.findall(page.read_text()):
            plain = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
            if its == language:
                found.append(Sample(page, its, plain))
    return found


def inline_commands() -> Iterator[Sample]:
    """Commands in tables and sentences."""
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for command in re.findall(r"`((?:tox |\.tox/|python -m |pytest )[^`]+)`", text):
            yield Sample(page, "sh", command)


def commands(sample: Sample) -> Iterator[list[str]]:
    for line in sample.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\|", line.partition(" #")[0]):
            words = shlex.split(part)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words


def environments() -> set[str]:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    return {name.removeprefix("testenv:") for name in tox.sections() if "testenv:" in name}


def parse_for_pytest(words: list[str], here: Path) -> None:
    """Take options as a run of the suite takes them; a mistake is a SystemExit or BadInput."""
    given = option_parser().parse_args(
        [PLACES.get(word, word) for word in words if word != "--help"]
    )
    for option, value in pairwise(words):
        if option in FILES:
            (here / value).touch()
        if option == "--istio-dir":
            (here / value).mkdir(exist_ok=True)
        if option == "--claims":
            (here / value).mkdir(exist_ok=True)
            (here / value / "test_x.py").touch()
    if not given.list_faults:
        options.read(given, here)
    for path in set(given.paths).difference(given.claims):
        assert (ROOT / path).exists(), f"{path} does not exist"


def check(words: list[str], here: Path) -> None:
    name = Path(words[0]).name
    if name == "tox":
        check_tox(words[1:], here)
    elif words[:2] == ["pytest", "suites"]:
        parse_for_pytest(words[2:], here)
    elif name == "python" and words[1] == "-m":
        module = words[2]
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), f"no module {module}"
    elif name == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if not word.startswith("-"))
    else:
        assert name in FOREIGN or words[0] in FOREIGN, f"what is {words[0]}?"
        for word in words[1:]:
            if word.startswith(("docs/", "fixtures/", "suites/", "tests/")):
                assert (ROOT / word).exists(), f"{word} does not exist"


def check_tox(words: list[str], here: Path) -> None:
    ours, rest = (
        (words[: words.index("--")], words[words.index("--") + 1 :])
        if "--" in words
        else (words, [])
    )
    if "-m" in ours:
        assert ours[ours.index("-m") + 1] == "poses"
        parse_for_pytest(rest, here)
        return
    for name in ours[ours.index("-e") + 1].split(","):
        pair = re.fullmatch(r"istio1\.\d+-kube1\.\d+", name)
        assert pair or name in environments(), f"no environment {name}"
        if pair or name in PYTEST_ENVIRONMENTS:
            parse_for_pytest(rest + (["--prove"] if name == "prove" else []), here)


@pytest.mark.parametrize(
    "sample", list(dict.fromkeys([*samples("sh"), *inline_commands()])), ids=str
)
def test_a_command_can_be_typed(sample: Sample, tmp_path: Path) -> None:
    for words in commands(sample):
        check(words, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    languages = {its for _, its, _ in FENCE.findall(page.read_text())}
    assert languages <= {"sh", "text", "python", "yaml", "toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def messages() -> dict[str, str]:
    """What the code says where a page shows a message; by its first words."""
    scaled = Deployment(
        "istio-egressgateway", "istio-system", 2, 2, 0, 0, 0, 0, failure="", overdue="", labels={}
    )
    with pytest.raises(ClaimFailed) as rolled_out:
        scaled.must_not_be_stuck()
    [raised] = [s for s in samples("python") if s.text.startswith("raise ")]
    with pytest.raises(ClaimFailed) as written:
        exec(raised.text, {"ClaimFailed": ClaimFailed})  # the page's own sample
    return {str(error.value).split(" ")[0]: str(error.value) for error in (rolled_out, written)}


def test_the_messages_of_the_pages_are_those_of_the_code() -> None:
    fields = {s.text.strip().split(" ")[0]: s.text.strip() for s in samples("text")}
    for first, message in messages().items():
        assert message.startswith(fields[first]), first


@pytest.mark.parametrize("sample", samples("toml"), ids=str)
def test_a_file_of_the_pages_can_be_read(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / config_file.NAME).write_text(sample.text)
    found = config_file.read(tmp_path / config_file.NAME)
    assert found.options or found.expected


def test_the_own_claim_of_the_page_is_one(pytester: pytest.Pytester) -> None:
    [module] = [s for s in samples("python") if "OwnStage" in s.text]
    world = """
class Answers:
    def get(self, kind, name): return {"metadata": {"name": name}}
    def list(self, kind, namespace): return [kind]

@pytest.fixture(scope="session")
def kube(access): return Answers()
"""
    runs = SmallRuns(pytester).begin(world=world)
    runs.claims("01_cluster", "@so()\ndef test_a(cluster): inspected_one(1)")
    (pytester.mkdir("shop") / "test_checkout.py").write_text(module.text)
    verdicts = runs.run("--claims=shop").verdicts
    assert verdicts["shop/checkout/there-is-a-service"] == "passed"


def test_the_claim_of_the_page_is_one(pytester: pytest.Pytester) -> None:
    [claim] = [s for s in samples("python") if s.text.startswith("@claim")]
    world = """
class Cluster:
    def expect_namespaces_active(self): inspected_one("kube-system")

@pytest.fixture(scope="session")
def cluster(access): return Cluster()
"""
    claim_of_the_page = claim.text.replace(": Cluster", ": 'Cluster'")  # imported on the page
    runs = SmallRuns(pytester).begin(world=world)
    runs.claims("01_cluster", claim_of_the_page)
    assert runs.run().verdicts == {"cluster/the-system-namespaces-exist": "passed"}
