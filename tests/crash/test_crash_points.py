"""A process that ends at any named point leaves what one table says, whatever the provider does there."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from scripts.soak.fleet import ROOT
from shared.db import Database
from tests.crash import soak
from tests.crash.crash_points import ENDED_THERE, POINTS
from tests.crash.fleet import Fleet
from tests.waiting import eventually

pytestmark = pytest.mark.slow

# What the provider does with the send, as the simulator calls it; None: it accepts, or refuses the account.
PROVIDER: Mapping[str, str | None] = {
    "accepts": None,
    "refuses": "refused",
    "accepts, hangs": "accept_then_hang",
    "accepts, closes": "accept_then_close",
    "closes": "close",
    "account refused": None,
}

# The table: where the message stands once the lease is over and another worker has looked, and how often the
# provider took it. A row of six cells for each point, in the order of PROVIDER.
_SENT = [("accepted", 1), ("rejected", 0), ("unknown", 1), ("unknown", 1), ("unknown", 0), ("queued", 0)]
_WRITTEN = [("unknown", 1), ("unknown", 0), ("unknown", 1), ("unknown", 1), ("unknown", 0), ("unknown", 0)]
_BEGUN = [("unknown", 0)] * len(PROVIDER)
TABLE: Mapping[str, Sequence[tuple[str, int]]] = {
    # Nothing was begun: the next worker sends it, and meets the provider as it is.
    "after claim": _SENT,
    "before begin commits": _SENT,
    # Begun: nobody can tell whether it left, so nobody sends it again.
    "after begin commits": _BEGUN,
    "before write": _BEGUN,
    "after write": _WRITTEN,
    "after reply": _WRITTEN,
    "before record commits": _WRITTEN,
    # Known.
    "after record commits": _SENT,
}
# On a busy machine too no answer takes as long; whoever hangs gives none, and is not waited for.
ANSWER_S, HANGS_S = 4.0, 0.4
LEASE_S = 5 + ANSWER_S
LIVES_S = 150.0


@dataclass(frozen=True)
class Cell:
    """One crash: the number on which it happens, and what the table says of it."""

    point: str
    behaviour: str
    instance_id: UUID
    expected: tuple[str, int]

    @property
    def text(self) -> str:
        """By which its message is known again."""
        return f"{self.point}, {self.behaviour}"


@pytest.mark.parametrize(
    "behaviours",
    [
        pytest.param(3, id="24-cells", marks=pytest.mark.scoreboard("R3", tier="commit")),
        pytest.param(6, id="48-cells"),
    ],
)
def test_every_crash_point_leaves_what_the_table_says(
    *, db: Database, database_url: str, tmp_path: Path, behaviours: int
) -> None:
    """A worker process ends there, in each cell on a number of its own; another worker settles all of them
    once their leases are over. The state is the table's, the provider's own log has the message as often as
    the table says, and nothing was tried twice."""
    assert tuple(TABLE) == POINTS
    with SimulatorProcess(log=tmp_path / "log", instances=len(POINTS) * behaviours) as simulator:
        cells = _prepare(database_url, simulator, behaviours)
        _crash(db, database_url, simulator, cells)
        ended_at = time.monotonic()
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.start()
            eventually(lambda: _is_settled(database_url), LEASE_S + 30, "every lease settled")
        took_s = time.monotonic() - ended_at
        times = Counter(line["text"] for line in simulator.accepted())
    states, attempts = _states(database_url), _attempts(database_url)
    wrong = [
        f"{cell.text}: {found}, not {cell.expected}"
        for cell in cells
        if (found := (states[cell.text], times[cell.text])) != cell.expected
    ]
    print(f"{len(cells) - len(wrong)}/{len(cells)} cells as the table says; settled after {took_s:.1f} s")
    assert wrong == []
    assert attempts == {cell.text: 1 for cell in cells}


def _prepare(database_url: str, simulator: SimulatorProcess, behaviours: int) -> list[Cell]:
    """A number for each cell, on which the provider behaves as the cell says."""
    numbers = simulator.instances()
    instances = soak.add_numbers(database_url, simulator, send_timeout_s=ANSWER_S)
    places = [(point, place) for point in POINTS for place in range(behaviours)]
    cells, faults = [], {}
    for number, instance, (point, place) in zip(numbers, instances, places, strict=True):
        behaviour, fault = list(PROVIDER.items())[place]
        cells.append(Cell(point, behaviour, instance, TABLE[point][place]))
        if fault is not None:
            faults[number["id"]] = fault
        if behaviour == "account refused":
            simulator.control("lapse", instance_id=number["id"])
    simulator.control("faults", by_instance=faults, hang_s=60.0)
    with psycopg.connect(database_url) as connection:
        # Nobody is to ask how they are: a lapsed number would be stopped before its message meets it.
        connection.execute("update public.whatsapp_instances set last_health_check = now() + interval '1 h'")
        connection.execute(
            "update messaging.senders set send_timeout_s = %s where instance_id = any(%s)",
            [HANGS_S, [cell.instance_id for cell in cells if cell.behaviour == "accepts, hangs"]],
        )
    return cells


def _crash(db: Database, database_url: str, simulator: SimulatorProcess, cells: Sequence[Cell]) -> None:
    """One life after the other, each of which must end where it should."""
    command = [sys.executable, "-m", "tests.crash.crash_points", database_url, simulator.base_url]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT
        ) as lives,
    ):
        assert lives.stdin is not None and lives.stdout is not None
        # A life that never ends where it should ends all of them.
        patience = threading.Timer(LIVES_S, lives.kill)
        patience.start()
        # What goes back to its queue comes last: later lives would take it and leave it to a second lease.
        for cell in sorted(cells, key=lambda cell: cell.point in ("after claim", "before begin commits")):
            soak.enqueue_texts(db, [cell.instance_id], [cell.text])
            print(json.dumps({"point": cell.point, "text": cell.text}), file=lives.stdin, flush=True)
            code = lives.stdout.readline().strip()
            if code != str(ENDED_THERE):
                said.seek(0)
                raise AssertionError(f"{cell.text} ended with {code or 'nothing'}: {said.read()[-3000:]}")
        patience.cancel()
        lives.stdin.close()


def _is_settled(database_url: str) -> bool:
    """Whether nothing is in flight and nothing waits, but on a number that its provider refuses."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.outbox as o"
            " inner join public.whatsapp_instances as i on o.instance_id = i.id"
            " where o.dispatch_state in ('leased', 'sending')"
            " or (o.dispatch_state = 'queued' and i.halted_reason is null)"
        ).fetchone()
    return row == (0,)


def _states(database_url: str) -> dict[str, str]:
    return _by_text(database_url, "select content ->> 'text', dispatch_state from messaging.outbox")


def _attempts(database_url: str) -> dict[str, int]:
    return _by_text(
        database_url,
        "select o.content ->> 'text', count(*) from messaging.attempts as a"
        " inner join messaging.outbox as o on a.message_id = o.id group by 1",
    )


def _by_text(database_url: str, query: str) -> dict[str, Any]:
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute(query.encode()).fetchall())
