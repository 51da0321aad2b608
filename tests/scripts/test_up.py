"""`roleta up` end to end: a real server, a real simulator, real children; ended in every way there is."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from scripts import run_file
from scripts.simulator.instances import numbered
from tests.dump import tables_with
from tests.scripts.roleta import Roleta, RunningRoleta, ended
from tests.waiting import eventually

pytestmark = pytest.mark.slow
PARTS_IN_ORDER = [
    *("worker: stopped", "gateway: stopped", "evolution: stopped", "simulator: stopped"),
    "database: stopped",
]


@pytest.fixture
def ups(bare_roleta: Roleta) -> Iterator["Ups"]:
    """Starts `roleta up` in a home of the test's own, as often as it likes."""
    with ExitStack() as stack:
        yield Ups(bare_roleta, stack)


class Ups:
    """One home, one `up` after the other."""

    def __init__(self, roleta: Roleta, stack: ExitStack) -> None:
        self.roleta, self._stack = roleta, stack

    def __call__(self, *words: str, **more: str) -> RunningRoleta:
        return self._stack.enter_context(ended(self.roleta.started("up", "--port", "0", *words, **more)))

    @property
    def run(self) -> run_file.Run:
        """What the `up` that runs now has left for others."""
        found = run_file.read(self.roleta.home)
        assert found is not None
        return found

    def accepted(self) -> list[str]:
        """The phones that the simulator took a message for, in all runs of this home."""
        log = self.roleta.home / ".roleta/simulator.log"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line["phone"] for line in lines if line["event"] == "accepted"]


def _left_behind(home: Path) -> list[str]:
    """Processes that have this home in their arguments or their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(home) in said and folder.name != str(os.getpid()):
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_first_accepted_message_then_a_second_start_goes_on(ups: Ups) -> None:
    """One command to the first acceptance; the next one posts nobody twice and sends the rest once each."""
    first = ups("--exit-after-first", "3", "--speed", "100")
    assert first.ends(120) == 0, first.said
    assert "--speed 100" in first.said
    assert [line for line in first.said.splitlines() if line.endswith(": stopped")] == PARTS_IN_ORDER

    second = ups("--until-done", "--speed", "1000")
    assert second.ends(120) == 0, second.said
    # The first may stop before all sixty are posted, and one post may be under way: known is who was there.
    posted = [int(found) for found in re.findall(r"(\d+) new", first.said)][-1]
    [(new, known)] = re.findall(r"(\d+) new, (\d+) known before", second.said)
    assert int(new) + int(known) == 60
    assert int(known) >= posted
    assert "the queue is empty" in second.said
    assert len(ups.accepted()) == len(set(ups.accepted())) == 60
    assert _left_behind(ups.roleta.home) == []


def test_status_in_another_terminal_finds_the_running_pool(ups: Ups) -> None:
    """While `up` runs, every command finds its server; afterwards they say that there is none."""
    running = ups()
    running.hears("welcome")
    told = ups.roleta.told("status", "--json")

    assert [row["name"] for row in told["numbers"]] == ["Aura #1", "Aura #2", "Aura #3"]
    assert {(row["gap_min_s"], row["gap_max_s"]) for row in told["numbers"]} == {(1.25, 2.25)}
    assert "connected" in ups.roleta.well("instance", "test", "Aura #2")
    assert "ZAPI_" not in ups.roleta.well("audit")
    assert running.asked_to_stop(signal.SIGINT) == 0
    assert "no `roleta up` is running" in ups.roleta.refused("status")


def test_credentials_in_the_server_of_ours_are_always_sealed(ups: Ups) -> None:
    """Without a word from anybody: the key is made once, for its owner's eyes alone; other terminals open
    with it, and what an earlier version left in plain text is sealed at the next start."""
    running = ups("--speed", "100")
    running.hears("roleta is ready", 120)
    secrets = {
        f"{name} {index}": numbered(index)[name] for index in (1, 2, 3) for name in ("token", "client_token")
    }
    url, keys = ups.run.database_url, ups.run.credentials_keys
    assert keys is not None
    assert tables_with(url, secrets | {"key": keys.partition(":")[2]}) == []
    assert "connected" in ups.roleta.well("instance", "test", "Aura #1")
    assert ups.roleta.told("status", "--json")["plain_credentials"] == 0
    [file] = [each for each in (ups.roleta.home / ".roleta").iterdir() if each.name == "credentials.keys"]
    assert file.stat().st_mode & 0o777 == 0o600
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "update public.whatsapp_instances set zapi_token = %s where name = 'Aura #1'",
            [secrets["token 1"]],
        )
    assert ups.roleta.told("status", "--json")["plain_credentials"] == 1
    running.asked_to_stop()

    again = ups("--speed", "100")
    again.hears("roleta is ready", 120)
    assert ups.run.credentials_keys == keys
    assert ups.roleta.told("status", "--json")["plain_credentials"] == 0
    assert keys.partition(":")[2] not in running.said + again.said
    again.asked_to_stop()


def test_a_real_number_is_never_put_among_the_invented_people(ups: Ups) -> None:
    """Beside a running sample, import-env-instance refuses instead of linking the sample to a real number."""
    ups("--speed", "1").hears("roleta is ready")
    number = {"ZAPI_INSTANCE_ID": "A1", "ZAPI_TOKEN": "B1", "ZAPI_CLIENT_TOKEN": "C1"}

    assert "sample database" in ups.roleta.refused("import-env-instance", **number)


def test_a_second_up_is_told_where_the_first_one_is__refused(ups: Ups) -> None:
    """One home, one `up`: the second is one line, and the first goes on."""
    first = ups("--speed", "1")
    first.hears("roleta is ready")
    second = ups()

    assert second.ends() == 1
    [line] = second.said.splitlines()
    assert f"another up is already running here (process {first.process.pid}" in line
    assert first.process.poll() is None


def test_kill_9_leaves_nothing_running(ups: Ups) -> None:
    """The kernel ends every child of an `up` that is killed, and the next start works as if nothing was."""
    running = ups()
    running.hears("welcome")
    run = ups.run
    running.process.kill()

    eventually(lambda: _left_behind(ups.roleta.home) == [], 20, "the end of every child")
    assert [pid for pid in run.children.values() if run_file.born(pid)] == []
    again = ups("--until-done", "--speed", "1000")
    assert again.ends(120) == 0, again.said
    accepted = ups.accepted()
    assert len(accepted) == len(set(accepted))
    assert (
        len(accepted) >= 59 - 3
    )  # at most one in flight per number may have become unknown, and is not repeated


@pytest.mark.parametrize("part", ["gateway", "worker", "simulator"])
def test_a_child_that_dies_ends_up_with_its_last_words(ups: Ups, part: str) -> None:
    """Half a pool is no pool: `up` says which part ended and where its log is, and ends the rest."""
    running = ups("--speed", "1")
    running.hears("roleta is ready")
    os.kill(ups.run.children[part], signal.SIGKILL)

    assert running.ends(90) == 1
    assert f"roleta: the {part} has ended (signal 9)" in running.said
    assert "database: stopped" in running.said
    assert _left_behind(ups.roleta.home) == []


def test_a_used_port_is_one_line_before_anything_starts__refused(bare_roleta: Roleta) -> None:
    """Somebody listens on the gateway's port: told at once, and no server was started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = bare_roleta.refused("up", "--port", str(port))

    assert f"port {port} on 127.0.0.1 is in use" in line
    assert not (bare_roleta.home / ".roleta/postgres").exists()


def test_a_bad_file_of_people_starts_nothing__refused(bare_roleta: Roleta, tmp_path: Path) -> None:
    """A row that cannot be posted is told by its number before anything starts."""
    file = tmp_path / "people.csv"
    file.write_text("name,phone,email\nAna,1,\n")

    assert "line 2" in bare_roleta.refused("up", "--people", str(file))
    assert "cannot be read" in bare_roleta.refused("up", "--people", str(tmp_path / "none.csv"))
    assert not (bare_roleta.home / ".roleta").exists()


def test_own_people_in_the_sample_run_need_no_question(ups: Ups, tmp_path: Path) -> None:
    """--people replaces the sample; with the simulator nobody is asked."""
    file = tmp_path / "people.csv"
    file.write_text("name,phone,email\nAna,11980001234,ana@example.com\nBia,+351912345678,\n")
    running = ups("--people", str(file), "--until-done", "--speed", "1000")

    assert running.ends(120) == 0, running.said
    assert sorted(ups.accepted()) == ["351912345678", "5511980001234"]


def test_a_sign_up_at_half_past_eleven_at_night_is_welcomed_at_once(ups: Ups, tmp_path: Path) -> None:
    """A welcome answers what the person just did, so it knows no quiet hours: `up` works at any hour."""
    file = tmp_path / "people.csv"
    file.write_text("name,phone,email\nAna,11980001234,\n")
    ups("--people", str(file), "--speed", "1000").hears("welcome")
    with psycopg.connect(ups.run.database_url) as connection:
        connection.execute(
            """
            do $$
            begin
                execute format(
                    'create or replace function messaging.clock() returns timestamptz language sql volatile
                    return clock_timestamp() + interval %L',
                    (current_date + time '23:30') at time zone 'America/Sao_Paulo' - clock_timestamp()
                );
            end
            $$
            """
        )
    answer = httpx.post(
        f"{ups.run.gateway}/functions/v1/start-trial",
        json={"name": "Bia", "phone": "11980001235"},
        timeout=60,
    )

    assert answer.json()["success"] is True
    eventually(lambda: "5511980001235" in ups.accepted(), 30, "the welcome at 23:30")
    with psycopg.connect(ups.run.database_url) as connection:
        begun = connection.execute(
            "select extract(hour from begun_at at time zone 'America/Sao_Paulo') from messaging.attempts"
        )
        assert (23,) in begun.fetchall()


def test_a_server_that_dies_ends_up_in_one_line(ups: Ups) -> None:
    """Our own server does not come back by itself: after a while `up` says so and ends the rest."""
    running = ups("--speed", "1")
    # At the real pace nothing is in flight after the first message of each number.
    eventually(lambda: running.said.count(" welcome\n") == 3, 60, "three messages")
    for folder in Path("/proc").glob("[0-9]*"):
        if _parent(folder) == running.process.pid and b"postgres" in (folder / "cmdline").read_bytes():
            os.kill(int(folder.name), signal.SIGKILL)

    assert running.ends(90) == 1
    assert "roleta: the database cannot be reached" in running.said.splitlines()[-1]
    assert _left_behind(ups.roleta.home) == []


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0
