"""The simulator as a process: ready when it says so, gone when its parent is, clear when it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from scripts.simulator.process import SimulatorError, SimulatorProcess
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import sys
from pathlib import Path
from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorProcess
process = {}.start()
print(process.pid, flush=True)
sys.stdin.read()
"""
MADE = {
    "zapi": "SimulatorProcess(log=Path(sys.argv[1]), instances=1)",
    "evolution": "EvolutionSimulator(log=Path(sys.argv[1]), key='k')",
}


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("simulator", list(MADE))
def test_it_dies_with_its_parent(simulator: str, tmp_path: Path) -> None:
    """After kill -9 of the process that started it, nothing is left running."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(MADE[simulator]), str(tmp_path / "log")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _alive(child)
        os.kill(parent.pid, signal.SIGKILL)

    eventually(lambda: not _alive(child), timeout=5)


def test_a_taken_port__refused(tmp_path: Path) -> None:
    """One clear line, no traceback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        process = SimulatorProcess(log=tmp_path / "log", port=taken.getsockname()[1])
        with pytest.raises(SimulatorError, match="address already in use") as raised:
            process.start()

    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize("config", [[{"colour": "red"}], [{"id": "A", "nonsense": 1}]])
def test_a_wrong_configuration__refused(config: list[dict[str, object]], tmp_path: Path) -> None:
    """The unknown field is named."""
    with pytest.raises(SimulatorError, match="unknown instance fields"):
        SimulatorProcess(log=tmp_path / "log", instances=config).start()


def test_a_log_that_cannot_be_written__refused(tmp_path: Path) -> None:
    """Without its log it does not start: nothing it accepted could be proven."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulatorError):
        SimulatorProcess(log=tmp_path / "file" / "log").start()


def test_a_full_disk_accepts_nothing() -> None:
    """A line that cannot be written is no acceptance: the caller gets a 500."""
    if not Path("/dev/full").exists():
        pytest.fail("this test needs Linux's /dev/full")
    with SimulatorProcess(log=Path("/dev/full"), instances=1) as process:
        one = process.instances()[0]
        url = f"{process.base_url}/instances/{one['id']}/token/{one['token']}/send-text"
        answer = httpx.post(
            url,
            json={"phone": "5551987654321", "message": "oi"},
            headers={"Client-Token": one["client_token"]},
            trust_env=False,
        )
        assert answer.status_code == 500
        assert process.control("counters")["accepted"] == 0
        assert process.control("counters")["queued"] == 0


def test_it_says_where_it_listens(tmp_path: Path) -> None:
    """The ready file appears whole and names the port; SIGTERM ends it in order."""
    ready = tmp_path / "ready.json"
    command = [
        sys.executable,
        "-m",
        "scripts.simulator",
        "--log",
        str(tmp_path / "log"),
        "--ready-file",
        str(ready),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        eventually(ready.exists)
        assert said == json.loads(ready.read_text())
        assert (process.pid, f"http://127.0.0.1:{said['port']}") == (said["pid"], said["base_url"])
        process.terminate()
        assert process.wait(5) == 0


def test_the_same_numbers_after_each_start(tmp_path: Path) -> None:
    """Numbers of its own making keep ids, tokens and phones, so that stored rows go on working."""
    seen = []
    for _ in range(2):
        with SimulatorProcess(log=tmp_path / "log", instances=3) as process:
            seen.append([(one["id"], one["token"], one["phone"]) for one in process.instances()])

    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3
