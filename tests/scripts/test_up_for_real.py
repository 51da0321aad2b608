"""`roleta up` where the database or the provider is real: no simulator, and nobody is written to unasked.

The provider's address leads to a simulator of the test's own, so that the test could not reach Z-API.
"""

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from tests.scripts.conftest import secrets_of
from tests.scripts.roleta import COMMAND, FOREIGN, Roleta, RunningRoleta, ended

pytestmark = pytest.mark.slow
NUMBER = {
    name: value
    for name, value in zip(
        ("ZAPI_INSTANCE_ID", "ZAPI_TOKEN", "ZAPI_CLIENT_TOKEN"), secrets_of(1).as_row().values(), strict=True
    )
}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Four people of one's own."""
    file = tmp_path / "people.csv"
    rows = [
        f"{name},1198000000{at},{name.lower()}@example.com"
        for at, name in enumerate(("Ana", "Bia", "Caio", "Davi"))
    ]
    file.write_text("\n".join(["name,phone,email", *rows]) + "\n")
    return file


@pytest.fixture
def near(roleta: Roleta, simulator: SimulatorProcess) -> Roleta:
    """A real database, with the simulator where Z-API would be."""
    return Roleta(roleta.home, **roleta.settings, ROLETA_ZAPI_BASE_URL=simulator.base_url)


@pytest.fixture
def starts(near: Roleta) -> Iterator["Starts"]:
    """Call it to start `up` over the real database; ended afterwards."""
    with ExitStack() as stack:
        yield Starts(near, stack)


class Starts:
    """Starts of `up`, without a terminal."""

    def __init__(self, roleta: Roleta, stack: ExitStack) -> None:
        self._roleta, self._stack = roleta, stack

    def __call__(self, *words: str, **more: str) -> RunningRoleta:
        return self._stack.enter_context(ended(self._roleta.started("up", "--port", "0", *words, **more)))


def _profiles(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from public.profiles").fetchone()
    assert row is not None
    return int(row[0])


def test_a_real_database_alone_starts_neither_server_nor_simulator(
    starts: Starts, roleta: Roleta, aura: UUID, database_url: str
) -> None:
    """DATABASE_URL alone: gateway and worker over what is there; no number is added, nobody is signed up."""
    running = starts()
    said = running.hears("roleta is ready")

    assert "nobody is signed up" in said
    assert "simulator" not in said.replace("the sample is for the simulator only", "")
    assert not (roleta.home / ".roleta/postgres").exists()
    assert [each["name"] for each in roleta.told("instance", "list", "--json")] == ["Aura #1"]
    assert _profiles(database_url) == 0
    assert running.asked_to_stop() == 0
    assert running.said.splitlines()[-2:] == ["worker: stopped", "gateway: stopped"]


def test_a_real_database_and_number_join_the_number(
    starts: Starts, roleta: Roleta, database_url: str
) -> None:
    """Both real: the number of ZAPI_* is a row, gateway and worker run, nobody is signed up."""
    running = starts("--until-done", **NUMBER)

    assert running.ends() == 0, running.said
    assert "is now Aura #1" in running.said
    assert [each["is_default"] for each in roleta.told("instance", "list", "--json")] == [True]
    assert _profiles(database_url) == 0
    for secret in NUMBER.values():
        assert secret not in running.said


def test_a_real_number_alone_gets_a_server_of_its_own(
    bare_roleta: Roleta, simulator: SimulatorProcess
) -> None:
    """ZAPI_* alone: our server, not the sample's database, only the real number in it, nobody signed up."""
    near = {**NUMBER, "ROLETA_ZAPI_BASE_URL": simulator.base_url}
    with ended(bare_roleta.started("up", "--port", "0", **near)) as running:
        said = running.hears("roleta is ready", 120)
        assert "database: PostgreSQL" in said
        assert "real pace" in said
        [number] = bare_roleta.told("instance", "list", "--json")
        assert (number["name"], number["people"], number["is_default"]) == ("Aura #1", 0, True)
        assert running.asked_to_stop() == 0
    assert simulator.accepted() == []


def test_people_without_a_terminal_start_nothing__refused(
    near: Roleta, people: Path, aura: UUID, database_url: str
) -> None:
    """--yes does not skip the question, and without a terminal there is nobody to ask."""
    line = near.refused("up", "--people", str(people), "--yes").splitlines()[-1]

    assert "4 people would be written to for real" in line
    assert _profiles(database_url) == 0


def test_speed_with_anything_real_starts_nothing__refused(near: Roleta) -> None:
    """The real pace is not for sale."""
    assert "--speed is for the sample run" in near.refused("up", "--speed", "20")


def _asked(roleta: Roleta, answer: str, *words: str) -> tuple[int, str]:
    """`up` at a terminal, where a person answers the question; exit code and all that was seen."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", "0", *words],
        env={**inherited, **roleta.environment(), "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said, answered = b"", False
    try:
        while select.select([ours], [], [], 90)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # what a pseudo-terminal says when the other side is gone
                break
            said += piece
            if b"[y/N]" in said and not answered:
                os.write(ours, answer.encode() + b"\n")
                answered = True
        return process.wait(60), said.decode()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        os.close(ours)


def test_no_to_the_question_starts_nothing(near: Roleta, people: Path, aura: UUID, database_url: str) -> None:
    """The count and the first three names are shown; "n" ends it with nothing started."""
    code, said = _asked(near, "n", "--people", str(people), "--yes")

    assert code == 1
    assert "Sign up 4 people (Ana, Bia, Caio, ...)" in said
    assert "nobody was signed up, nothing was started" in said
    assert "gateway" not in said
    assert _profiles(database_url) == 0


def test_yes_to_the_question_signs_them_up_at_the_real_pace(
    near: Roleta, people: Path, aura: UUID, simulator: SimulatorProcess, database_url: str
) -> None:
    """A person's "y" is what it takes; the first leaves at once, the others at the number's own pace."""
    code, said = _asked(near, "y", "--people", str(people), "--exit-after-first", "1")

    assert code == 0, said
    assert "4 new" in said
    assert _profiles(database_url) == 4
    assert len(simulator.accepted()) == 1
    assert "real pace: 25-45 s" in said
