"""Workers that are forked instead of started behave as those that were started."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.soak.fleet import ROOT
from scripts.soak.surroundings import own_environment
from tests.crash.fleet import Forked

# Starts a worker, says its pid, and waits to be killed.
_PARENT = """
import sys
from pathlib import Path
from tests.crash.fleet import Forked
from scripts.soak.surroundings import own_environment
url = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
print(Forked(["work"], {**own_environment(), **url}, Path(sys.argv[1])).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the worker's words go."""
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [(["work", "--help"], 0, "Run one worker"), (["wrok"], 2, "No such command 'wrok'")],
)
def test_exit_code_and_words_are_those_of_the_command(
    log: Path, words: list[str], code: int, says: str
) -> None:
    """A good end and a bad one, as a shell would see them."""
    process = Forked(words, own_environment(), log)
    assert (process.wait(30), process.poll()) == (code, code)
    assert says in log.read_text()


def test_environment_is_the_one_that_was_given_and_no_other(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the nursery's, which has ours as it was at its start."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    process = Forked(["status"], own_environment() | {"ROLETA_HOME": str(log.parent)}, log)
    assert process.wait(30) == 1
    assert "DATABASE_URL" in log.read_text()


def test_a_killed_worker_ends_by_its_signal(log: Path) -> None:
    """And one that is waited for too briefly still lives."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    process = Forked(["work"], {**own_environment(), "DATABASE_URL": url}, log)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    assert process.poll() is None
    process.kill()
    assert process.wait(30) == -signal.SIGKILL


def test_a_worker_does_not_outlive_the_tests(log: Path) -> None:
    """Killed at once, they leave none behind."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(log)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([worker], [], [], 30)[0], "the worker lives on"
    finally:
        os.close(worker)
