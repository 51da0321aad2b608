"""What claiming costs at different depths of the queue, and how many messages a second pass through it."""

import json
from dataclasses import dataclass
from typing import Any

import psycopg

from scripts.bench import clients
from scripts.bench.clients import Connection, Turn
from scripts.bench.progress import Progress
from scripts.bench.report import Report, Row, median

BATCH = 10
WORKERS = 4
FLAT_WITHIN = 1.25
WARM_UP, LOOKS = 10, 31

_NUMBERS = """
    insert into public.whatsapp_instances (name, zapi_instance_id, zapi_token, zapi_client_token, max_users)
    select 'Number ' || n, 'I' || n, 'T' || n, 'C' || n, 1000000 from generate_series(1, %(numbers)s) as n
"""
# By a plain insert, with the triggers off: enqueueing a million messages is not what is measured here.
_MESSAGES = """
    insert into messaging.outbox (
        dedupe_key, request_hash, instance_id, purpose, lane, phone, phone_key, content,
        not_before, expires_at, on_unknown, enqueued_by, dispatch_state, changed_by, created_at, changed_at
    )
    select
        'bench:' || m, sha256(m::text::bytea), i.ids[1 + m %% %(numbers)s], 'direct', 'timed',
        '55119' || lpad(m::text, 8, '0'),
        '5511' || lpad(m::text, 8, '0'),
        jsonb_build_object('kind', 'text', 'text', 'Bench message ' || m), now(), now() + interval '1 day',
        'hold', 'bench', 'queued', 'bench', now(), now()
    from generate_series(0, %(messages)s - 1) as m
    cross join (select array_agg(id order by name) as ids from public.whatsapp_instances) as i
"""
_READY = """
    update messaging.senders
    set gap_min_s = 0, gap_max_s = 0, next_send_at = '-infinity', ready_at = now() - random() * interval '1 s'
"""


@dataclass(frozen=True)
class Depth:
    """One cell: so many messages queued over so many numbers."""

    queued: int
    numbers: int


DEPTHS = [Depth(queued, numbers) for numbers in (1_000, 10_000) for queued in (10_000, 100_000, 1_000_000)]
QUICK_DEPTHS = [Depth(queued, 1_000) for queued in (10_000, 50_000)]
TINY_DEPTHS = [Depth(2_000, 500)]


def measure(url: str, report: Report, progress: Progress, depths: list[Depth], seconds: float) -> None:
    """Fill the report: per depth, buffers and milliseconds of a claim of 10, and pairs a second."""
    with psycopg.connect(url, autocommit=True) as connection:
        for depth in depths:
            name = f"{depth.queued:,} queued over {depth.numbers:,} numbers"
            with progress.step(f"{name}: loading"):
                _load(connection, depth)
            with progress.step(f"{name}: claims of {BATCH}"):
                buffers, milliseconds = _claims(connection)
            speeds = []
            for workers in (1, WORKERS):
                with progress.step(f"{name}: {workers} workers"):
                    speeds.append(_pairs_per_second(url, workers, seconds))
            report.rows.append(_row(depth, buffers, milliseconds, speeds))
    for numbers in sorted({depth.numbers for depth in depths}):
        found = [row["buffers_per_claim"] for row in report.rows if row["numbers"] == numbers]
        report.target(
            f"buffers of a claim of {BATCH}, deepest to shallowest queue, {numbers:,} numbers",
            round(max(found) / min(found), 3),
            FLAT_WITHIN,
        )
    report.notes += [
        f"Buffers and ms: messaging.claim of {BATCH}, warm, the median of {LOOKS} (EXPLAIN ANALYZE, BUFFERS: "
        "hits and reads of the whole call, triggers included).",
        "A pair is one message claimed, begun and recorded as accepted: in claims of 10, then two calls a "
        "message, each its own transaction; a process per worker, gap 0, PostgreSQL's default settings.",
        "The queue was loaded by a plain insert with the triggers off, then vacuum analyze.",
    ]


def _row(depth: Depth, buffers: float, milliseconds: float, speeds: list[float]) -> Row:
    return {
        "numbers": depth.numbers,
        "queued": depth.queued,
        "buffers_per_claim": round(buffers),
        "claim_ms": round(milliseconds, 2),
        "pairs_per_s_1_worker": round(speeds[0], 1),
        f"pairs_per_s_{WORKERS}_workers": round(speeds[1], 1),
    }


def _load(connection: Connection, depth: Depth) -> None:
    connection.execute("truncate public.profiles, public.whatsapp_instances cascade")
    connection.execute(_NUMBERS, {"numbers": depth.numbers})
    with connection.transaction():
        connection.execute("alter table messaging.outbox disable trigger user")
        connection.execute(_MESSAGES, {"numbers": depth.numbers, "messages": depth.queued})
        connection.execute("alter table messaging.outbox enable trigger user")
        connection.execute(_READY)
    for table in ("senders", "outbox", "attempts", "history"):
        connection.execute(f"vacuum (analyze) messaging.{table}".encode())
    connection.execute("vacuum (analyze) public.whatsapp_instances")
    connection.execute("checkpoint")


def _claims(connection: Connection) -> tuple[float, float]:
    """Buffers and milliseconds of one claim; what it claimed is carried through, so that looks are alike."""
    seen: list[tuple[int, float]] = []
    for _ in range(WARM_UP + LOOKS):
        explained = connection.execute(
            "explain (analyze, buffers, format json) select * from messaging.claim('bench', %s)", [BATCH]
        ).fetchone()
        seen.append(_cost(explained))
        _carry_through(connection, connection.execute(_CLAIMED).fetchall())
    warm = seen[WARM_UP:]
    return median([each[0] for each in warm]), median([each[1] for each in warm])


_CLAIMED = "select id, lease_token from messaging.outbox where dispatch_state = 'leased'"


def _cost(explained: tuple[Any, ...] | None) -> tuple[int, float]:
    if explained is None:
        raise RuntimeError("explain said nothing")
    told = explained[0] if isinstance(explained[0], list) else json.loads(explained[0])
    plan = told[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], plan["Actual Total Time"]


def _pairs_per_second(url: str, workers: int, seconds: float) -> float:
    return clients.per_second(
        clients.run(claim_and_record, url, clients=workers, processes=workers, seconds=seconds)
    )


def claim_and_record(turn: Turn, url: str) -> int:
    """One worker without a provider: claim 10, begin and record each as accepted, until the time is up."""
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        turn.start()
        while not turn.over():
            claimed = connection.execute(
                "select message_id, lease_token from messaging.claim(%s, %s)", [f"bench-{turn.client}", BATCH]
            ).fetchall()
            if not claimed and not _anything_left(connection):
                break
            done += _carry_through(connection, claimed)
    return done


def _carry_through(connection: Connection, claimed: list[tuple[Any, ...]]) -> int:
    for message_id, lease_token in claimed:
        begun = connection.execute(
            "select attempt_id from messaging.begin_attempt(%s, %s, 'bench')", [message_id, lease_token]
        ).fetchone()
        connection.execute(
            "select * from messaging.record_attempt(%s, 'accepted', %s)",
            [begun and begun[0], f"M{message_id}"],
        )
    return len(claimed)


def _anything_left(connection: Connection) -> bool:
    found = connection.execute(
        "select exists (select from messaging.outbox where dispatch_state = 'queued')"
    ).fetchone()
    return found == (True,)
