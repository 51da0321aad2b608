"""Fixtures of the command's tests: the command itself, a simulator, and a number that it knows."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest

from scripts.simulator.instances import numbered
from scripts.simulator.process import SimulatorProcess
from shared import instances
from shared.db import Database
from tests.keys import KEYS
from tests.scripts.roleta import Roleta, RunningRoleta, Runs, ended


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for .roleta that the embedded server's account may enter, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-home-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def roleta(home: Path, database_url: str) -> Roleta:
    """The command over this test's migrated database."""
    return Roleta(home, DATABASE_URL=database_url, ROLETA_CREDENTIALS_KEYS=KEYS)


@pytest.fixture
def bare_roleta(home: Path) -> Roleta:
    """The command with no setting at all."""
    return Roleta(home)


@pytest.fixture
def runs(roleta: Roleta) -> Iterator[Runs]:
    """Call it to start a `roleta` process over this test's database; ended afterwards."""
    with ExitStack() as stack:

        def run(*words: str, **more: str) -> RunningRoleta:
            return stack.enter_context(ended(roleta.started(*words, **more)))

        yield run


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Z-API with two numbers."""
    with SimulatorProcess(log=tmp_path / "simulator.log", instances=2) as running:
        running.control("options", queue_interval_s=0)
        yield running


def secrets_of(index: int) -> instances.Credentials:
    """The credentials of the simulator's number `index`, from 1."""
    made = numbered(index)
    return instances.Credentials(made["id"], made["token"], made["client_token"])


@pytest.fixture
def aura(db: Database) -> UUID:
    """A number called Aura #1, the simulator's first."""
    return instances.add(db, "Aura #1", secrets_of(1), by="the test", phone_number=numbered(1)["phone"])
