"""The Python of the last release, unpacked from this repository's history, and how its processes are run.

Kept in one place: which commit that is. Its packages are those of today's `.venv`.
"""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.scripts.roleta import FOREIGN, RunningRoleta

ROOT = Path(__file__).resolve().parents[2]
# What runs: everything that is not a test or a migration.
PARTS = ("edge", "scripts", "shared", "supabase.toml")


class Release(NamedTuple):
    """The tag is for people; a clone in CI may have no tags, so the commit decides."""

    tag: str
    commit: str


LAST = Release("0.1.0", "a57a4e1184f0103f2ff766c0044a56fbe8af05f9")


def unpack(into: Path, release: Release = LAST) -> Path:
    """The release's tree in this folder. Fails, saying what to fetch, where the clone is too shallow."""
    packed = subprocess.run(
        ["/usr/bin/env", "git", "archive", "--format=tar", release.commit, *PARTS],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if packed.returncode != 0:
        pytest.fail(
            f"this clone has no commit {release.commit} (release {release.tag}): fetch it, for example with"
            f" `git fetch --unshallow --tags`; git says: {packed.stderr.decode().strip()}",
            pytrace=False,
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into


class Version:
    """`roleta` of one tree, as processes over one database."""

    def __init__(self, tree: Path, home: Path, **settings: str) -> None:
        self.tree = tree
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in FOREIGN},
            "ROLETA_HOME": str(home),
            "ROLETA_ENV_FILE": os.devnull,
            # Before the installed roleta, which is today's; tests/guard stays the first.
            "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(tree)]),
            **settings,
        }

    def started(self, *words: str, **more: str) -> RunningRoleta:
        """Start it and go on."""
        command = [sys.executable, "-P", "-m", "scripts.cli", *words]
        return RunningRoleta(command, {**self._environment, **more})

    def said(self, *words: str, stdin: str = "", **more: str) -> str:
        """Run it to its end, which must be a good one, and give what it printed."""
        return self._run(["-m", "scripts.cli", *words], stdin, more)

    def imports_from(self) -> set[str]:
        """The folders that its packages come from."""
        said = self._run(
            ["-c", "import edge, scripts, shared; print(edge.__file__, scripts.__file__, shared.__file__)"],
            "",
            {},
        )
        return {str(Path(each).parents[1]) for each in said.split()}

    def _run(self, words: list[str], stdin: str, more: Mapping[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, "-P", *words],
            input=stdin,
            env={**self._environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
