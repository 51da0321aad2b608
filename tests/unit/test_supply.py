"""What we build on: locked by hash, asked about, and no credential beside it (reliability S20)."""

import json
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts import advisories, secrets_scan

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROGRAM: dict[str, str] = dict(advisories._PINNED.findall((ROOT / "requirements.txt").read_text("utf-8")))
TOOLS: dict[str, str] = dict(advisories._PINNED.findall((ROOT / "requirements-dev.txt").read_text("utf-8")))


def plain(name: str) -> str:
    """A package's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.scoreboard("S20", tier="commit")
@pytest.mark.parametrize("file", advisories.LOCKS)
def test_every_line_of_a_lock_has_its_version_and_its_hashes(file: str) -> None:
    """A package that was exchanged on its way is not installed; nothing else, such as an index, is in it."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    pinned = re.compile(r"[\w.-]+==[^\s;]+( ;[^-]*)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if line and not pinned.fullmatch(line)] == []


@pytest.mark.scoreboard("S20", tier="commit")
def test_all_that_the_project_asks_for_is_in_the_locks() -> None:
    """With a version that it takes; and both locks agree where they have the same package."""
    groups = PROJECT["dependency-groups"]
    for wanted, lock in (
        (PROJECT["project"]["dependencies"] + groups["build"], PROGRAM),
        (groups["dev"], PROGRAM | TOOLS),
    ):
        for each in map(Requirement, wanted):
            assert plain(each.name) in lock, each
            assert each.specifier.contains(lock[plain(each.name)]), each
    assert {name: TOOLS[name] for name in PROGRAM.keys() & TOOLS.keys()}.items() <= PROGRAM.items()


@pytest.mark.scoreboard("S20", tier="landing")
def test_no_credential_is_in_the_tree_or_in_its_history() -> None:
    """As scripts/check looks."""
    assert secrets_scan.fault() == ""


# Put together here, so that this file holds none either.
PLANTED = [
    "-----BEGIN PRIVATE KEY" + "-----\nMIIEvQIBADANBgkqhkiG9w0B",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_" + "a1B2" * 9,
    "postgresql://postgres.abc:longpassword@aws-0.pooler." + "supabase.com:5432/postgres",
]


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_credential_is_found_and_not_repeated(planted: str) -> None:
    """The finding names the place and the kind."""
    [found] = secrets_scan.findings([("a.py", f'KEY = "{planted}"')])
    assert found.startswith("a.py holds a") and planted not in found


def test_a_credential_that_was_removed_again_is_still_found(tmp_path: Path) -> None:
    """It is in the history, and whoever clones has it."""

    def git(*words: str) -> None:
        named = ["-c", "user.name=t", "-c", "user.email=t@t.example"]
        subprocess.run(["git", *named, *words], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607

    git("init")
    (tmp_path / "a").write_text(PLANTED[2])
    git("add", "a")
    git("commit", "-m", "one")
    (tmp_path / "a").write_text("nothing")
    git("commit", "-am", "two")
    assert secrets_scan.findings(secrets_scan.tree(tmp_path)) == []
    [found] = secrets_scan.findings(secrets_scan.history(tmp_path))
    assert "a live key of Stripe" in found


class Osv:
    """A service of OSV's shape; `known` by package name."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.body: bytes | None = None
        osv = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
                told = [osv.of(each["package"]["name"]) for each in asked]
                body = json.dumps({"results": told}).encode() if osv.body is None else osv.body
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def of(self, name: str) -> dict[str, object]:
        """One result."""
        ids = self.known.get(name)
        return {"vulns": [{"id": each} for each in ids]} if ids else {}


@pytest.fixture
def osv() -> Iterator[Osv]:
    """The service, on loopback."""
    made = Osv()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_an_advisory_fails_the_step_and_names_the_package(
    osv: Osv, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every locked package is asked about, by its version."""
    assert advisories.main(osv.url) == 0
    osv.known = {"waitress": ["GHSA-1", "GHSA-2"]}
    assert advisories.main(osv.url) == 1
    assert f"waitress {PROGRAM['waitress']}: GHSA-1, GHSA-2" in capsys.readouterr().out
    assert set(advisories.locked()) == {*PROGRAM.items(), *TOOLS.items()}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"results": []}'])
def test_a_service_that_does_not_answer_is_told_and_not_taken_for_well(
    osv: Osv, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not looked at is not the same as nothing found."""
    osv.body = body
    assert advisories.main(osv.url) == 2
    assert "NOT LOOKED AT" in capsys.readouterr().out
    assert advisories.main("http://127.0.0.1:1/") == 2
