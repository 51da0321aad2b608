"""What the crash tests share: numbers at the simulator, messages for them, and the judgement by its log."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from scripts.simulator.process import ControlledServer, SimulatorProcess
from shared import outbox
from shared.db import Database
from tests.crash.fleet import Fleet
from tests.servers import audit_findings
from tests.waiting import eventually

ENDED = frozenset({"accepted", "rejected", "unknown", "expired", "withdrawn"})


def add_numbers(
    url: str,
    simulator: SimulatorProcess,
    *,
    gaps_s: tuple[float, float] = (0, 0),
    send_timeout_s: float = 1.0,
) -> list[UUID]:
    """Register every number of the simulator. The lease of a message is 5 s + timeout + largest gap."""
    found: list[UUID] = []
    with psycopg.connect(url) as connection:
        for number in simulator.instances():
            row = connection.execute(
                "select messaging.add_instance(%s, %s, %s, %s, 'test', %s, 100000)",
                [number[key] for key in ("name", "id", "token", "client_token", "phone")],
            ).fetchone()
            assert row is not None
            found.append(row[0])
            connection.execute(
                "select messaging.set_gaps(%s, %s::numeric, %s::numeric, 'test', 0.01, 1)", [row[0], *gaps_s]
            )
        # No function sets it: it belongs to the provider, not to an operator.
        connection.execute("update messaging.senders set send_timeout_s = %s", [send_timeout_s])
    return found


def enqueue_texts(
    db: Database,
    instances: Sequence[UUID],
    texts: Sequence[str],
    *,
    purpose: str = "direct",
    first_phone: int = 0,
) -> None:
    """One message per text, dealt over the numbers in turn, each to a person of its own."""
    messages = [
        outbox.NewMessage(
            purpose=purpose,
            phone=f"55119{90_000_000 + first_phone + index:08d}",
            dedupe_key=f"{purpose}:{text}",
            enqueued_by="crash test",
            text=text,
            instance_id=instances[index % len(instances)],
        )
        for index, text in enumerate(texts)
    ]
    for start in range(0, len(messages), 1000):
        outbox.enqueue_many(db, messages[start : start + 1000])


def texts_of(how_many: int, prefix: str = "message") -> list[str]:
    """Texts by which a message is known again in the simulator's log."""
    return [f"{prefix} {number:06d}" for number in range(how_many)]


def states(url: str) -> Counter[str]:
    """How many messages are in each dispatch state."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select dispatch_state, count(*) from messaging.outbox group by 1"
        ).fetchall()
    return Counter(dict(rows))


def all_ended(url: str) -> Counter[str] | None:
    """The states when every message is in one that it can stay in; None before."""
    found = states(url)
    return found if set(found) <= ENDED else None


def wait_until_ended(url: str, timeout: float) -> Counter[str]:
    """The final states."""
    return eventually(
        lambda: all_ended(url), timeout, f"every message in a final state ({dict(states(url))})"
    )


def has_accepted(simulator: SimulatorProcess, how_many: int) -> bool:
    """Whether the simulator has accepted so many since it started."""
    return int(simulator.control("counters")["accepted"]) >= how_many


def kill_points(random_: random.Random, kills: int, messages: int) -> Iterator[int]:
    """At how many acceptances to kill: spread over the run at random, with some left to do after the last."""
    yield from sorted(random_.sample(range(1, int(messages * 0.85)), kills))


def kill_along_the_way(
    fleet: Fleet, simulator: SimulatorProcess, *, kills: int, messages: int, seed: int, timeout: float
) -> list[int]:
    """kill -9 a random worker at work at each point and start another; the messages that were left begun."""
    random_ = random.Random(seed)
    left: list[int] = []
    for point in kill_points(random_, kills, messages):
        eventually(
            partial(has_accepted, simulator, point),
            timeout,
            f"{point} acceptances",
        )
        left += fleet.kill(random_.choice(eventually(fleet.at_work, timeout, "a worker at work")))
        fleet.start()
    return left


@dataclass(frozen=True)
class Verdict:
    """What the simulator's log says about the texts that were enqueued, beside what our tables say."""

    states: Counter[str]
    lost: list[str]
    twice: list[str]
    unexpected: list[str]
    unknown_but_sent: int
    ambiguous_faults: int
    left_begun: int = 0
    findings: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Nothing lost, nothing twice, no more unknown than there is a reason for, every audit view empty."""
        print(self)
        assert self.lost == []
        assert self.twice == []
        assert self.unexpected == []
        assert self.states["unknown"] <= self.ambiguous_faults + self.left_begun
        assert set(self.states) <= ENDED
        assert self.findings == []

    def __str__(self) -> str:
        return (
            f"{sum(self.states.values())} messages: {dict(self.states)}; lost {len(self.lost)}, sent twice "
            f"{len(self.twice)}, unexpected {len(self.unexpected)}; unknown {self.states['unknown']} "
            f"(of these sent {self.unknown_but_sent}) against {self.ambiguous_faults} ambiguous faults + "
            f"{self.left_begun} that can have begun unrecorded; audit findings {len(self.findings)}"
        )


def judge(url: str, simulator: ControlledServer, texts: Sequence[str], left_begun: int = 0) -> Verdict:
    """Compare. Lost: in no state at all, or accepted by our tables and never by the simulator. `left_begun`:
    how many attempts can have begun and not been recorded, as the test counted them."""
    times = Counter(line["text"] for line in simulator.accepted())
    with psycopg.connect(url) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            "select content ->> 'text', dispatch_state from messaging.outbox"
        ).fetchall()
    stored = dict(rows)
    return Verdict(
        states=Counter(stored.values()),
        lost=[
            text for text in texts if text not in stored or (stored[text] == "accepted" and not times[text])
        ],
        twice=[text for text, count in times.items() if count > 1],
        unexpected=[text for text in times if stored.get(text) not in ("accepted", "unknown")],
        unknown_but_sent=sum(1 for text, state in stored.items() if state == "unknown" and times[text]),
        ambiguous_faults=sum(1 for fault in simulator.faults() if fault["ambiguous"]),
        left_begun=left_begun,
        findings=audit_findings(url),
    )


def gaps_between(acceptances: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds between neighbouring acceptances of the same number, all numbers together."""
    by_number: defaultdict[str, list[float]] = defaultdict(list)
    for line in acceptances:
        by_number[line["instance_id"]].append(line["at"])
    return [
        later - earlier
        for times in by_number.values()
        for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)
    ]
