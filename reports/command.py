"""What runs the same again: the command, and the suite's own version.

For a reader of a report who wants to repeat it.
Versions are those that were found, not those that were typed: "the newest" is another one next
month. Nothing that is only of this machine (paths of reports, patience) stands in it, and of a
file or folder only its name.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fixtures.run.cluster import origin
from fixtures.run.kind_options import INSTALLERS
from fixtures.run.redaction import HIDDEN, is_secret
from fixtures.run.settings import Settings

ROOT = Path(__file__).parents[1]
GIT_SECONDS = 5


@cache
def suite() -> str:
    """Version and commit of this checkout, as far as they are known."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return ""
    commit = _commit()
    return f"{project['version']} ({commit})" if commit else str(project["version"])


def _commit() -> str:
    git = shutil.which("git")
    if not git or not (ROOT / ".git").exists():  # a folder above may be another checkout
        return ""
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(  # noqa: S603  # git, on our own folder
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def command_of(settings: Settings) -> str:
    """The command line of a run, to be typed in a checkout of the same commit."""
    return shlex.join(["tox", "-e", "smoke", "--", *_options(settings)])


def _options(settings: Settings) -> Iterator[str]:
    kind = settings.kind
    made = origin(settings.provider) != "taken"
    yield from ("--provider", settings.provider, "--profile", settings.profile)
    for option, value in (
        ("--istio-version", settings.istio_version),
        ("--kube-version", settings.kube_version),
        ("--mesh", settings.mesh if made else ""),
        ("--inject-fault", settings.fault),
        ("--kube-context", settings.kube_context),
        ("--allow-context", settings.allow_context),
        ("--node-image", kind.node_image),
        ("--gateway-api", kind.gateway_api),
        ("--install", kind.install if kind.install != INSTALLERS[0] else ""),
    ):
        yield from (option, value) if value else ()
    for option, wanted in (
        ("--in-cluster", settings.in_cluster),
        ("--allow-mesh-writes", settings.allow_mesh_writes),
        ("--allow-unsupported", settings.allow_unsupported),
        ("--read-only", settings.read_only and settings.profile != "readonly"),
        ("--require-all", settings.require_all),
        ("--no-config", settings.no_config),
    ):
        yield from (option,) if wanted else ()
    for option, path in (
        ("--config", settings.config),
        *(("--claims", Path(folder.name)) for folder in settings.claims),
        ("--istio-dir", kind.istio_dir),
        ("--istio-values", kind.istio_values),
        ("--gateway-api", kind.gateway_api_file),
        *(("--image-archive", archive) for archive in kind.image_archives),
    ):
        yield from (option, path.name) if path else ()
    for feature in sorted(settings.require):
        yield from ("--require", feature)
    for key, _, value in (setting.partition("=") for setting in kind.istio_set):
        yield from ("--istio-set", f"{key}={HIDDEN if is_secret(key) else value}")
