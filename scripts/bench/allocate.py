"""Allocations per second beside the naive steps of the seed, and what either gives away when full."""

from dataclasses import dataclass

import psycopg

from scripts.bench import clients
from scripts.bench.clients import Connection, Turn
from scripts.bench.progress import Progress
from scripts.bench.report import Report, Row

CLIENTS, PROCESSES = 32, 4
WAYS = ("ours", "naive")
NO_LIMIT_S = 3600.0
# The profile of number n has n in its id, so that clients need not be told ids.
_PROFILE_ID = "('00000000-0000-4000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"

_NAIVE_TABLES = """
    create schema naive;
    create table naive.whatsapp_instances (
        id uuid primary key default gen_random_uuid(), name text not null, phone_number text,
        zapi_instance_id text not null, zapi_token text not null, zapi_client_token text not null,
        max_users integer not null default 250, current_users integer not null default 0,
        status text not null default 'active', created_at timestamptz not null default now()
    );
    create table naive.profiles (like public.profiles including all)
"""
_CLEAR = """
    truncate public.profiles, public.whatsapp_instances, naive.profiles, naive.whatsapp_instances cascade
"""
_NUMBERS = """
    insert into {}.whatsapp_instances (name, zapi_instance_id, zapi_token, zapi_client_token, max_users)
    select
        'Number ' || n, 'I' || n, 'T' || n, 'C' || n,
        case when n <= %(with_room)s then %(seats)s else 0 end
    from generate_series(1, %(numbers)s) as n
"""
_PEOPLE = """
    insert into {}.profiles (id, user_id, name, phone, status)
    select {}, gen_random_uuid(), 'Person ' || n, '55119' || lpad(n::text, 8, '0'), 'trial'
    from generate_series(0, %(people)s - 1) as n
"""
_OUTCOME = """
    select
        coalesce(sum(greatest(people - max_users, 0)), 0) as over_allocated,
        count(*) filter (where people > max_users) as numbers_over,
        coalesce(sum(greatest(max_users - people, 0)), 0) as left_empty
    from (
        select i.max_users, count(p.id) as people
        from {schema}.whatsapp_instances as i
        left join {schema}.profiles as p on p.whatsapp_instance_id = i.id
        group by i.id
    ) as n
"""


_DRAW = """
    select id from naive.whatsapp_instances where status = 'active' and current_users < max_users
    order by random() limit 1
"""
_COUNT = "update naive.whatsapp_instances set current_users = current_users + 1 where id = %s"


@dataclass(frozen=True)
class Size:
    """One size of the pool. `people`: at most so many in the speed run; the rest is the seats to fill up."""

    numbers: int
    people: int
    with_room: int
    seats_each: int


SIZES = [Size(10, 40_000, 10, 100), Size(1_000, 40_000, 1_000, 3), Size(100_000, 40_000, 100, 3)]
QUICK_SIZES = [Size(10, 2_000, 10, 10), Size(1_000, 2_000, 100, 2)]
TINY_SIZES = [Size(5, 40, 5, 2)]


def measure(url: str, report: Report, progress: Progress, sizes: list[Size], seconds: float) -> None:
    """Fill the report: per size, the speed with ample seats, then both ways filling up the same few seats."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_NAIVE_TABLES)
        for size in sizes:
            ample: dict[str, float] = {}
            filled: dict[str, Row] = {}
            for way in WAYS:
                with progress.step(f"{size.numbers:,} numbers: {way}, ample seats"):
                    ample[way] = _speed(connection, url, size, way, seconds)
                with progress.step(f"{size.numbers:,} numbers: {way}, filling up"):
                    filled[way] = _fill(connection, url, size, way)
            report.rows.append(_row(size, ample, filled))
    over = sum(row["ours_over_allocated"] for row in report.rows)
    report.target("people placed over max_users by ours, all sizes", over, 0)
    left = sum(row["ours_seats_left_empty"] for row in report.rows)
    report.target('seats that ours left empty while it said "full"', left, 0)
    report.notes += [
        f"{CLIENTS} clients: {PROCESSES} processes with {CLIENTS // PROCESSES} threads each; ample seats for "
        "the speed, 1.6 times as many people as seats for the filling.",
        "ours: allocate_whatsapp_instance(profile). naive: select ... order by random() limit 1, update the "
        "profile, update current_users + 1, in its own copies of the tables.",
    ]


def _row(size: Size, ample: dict[str, float], filled: dict[str, Row]) -> Row:
    return {
        "numbers": size.numbers,
        "ours_per_s": round(ample["ours"], 1),
        "naive_per_s": round(ample["naive"], 1),
        "ratio": round(ample["ours"] / ample["naive"], 2),
        "seats_to_fill": size.with_room * size.seats_each,
        "ours_over_allocated": filled["ours"]["over_allocated"],
        "ours_seats_left_empty": filled["ours"]["left_empty"],
        "naive_over_allocated": filled["naive"]["over_allocated"],
        "naive_numbers_over": filled["naive"]["numbers_over"],
    }


def _speed(connection: Connection, url: str, size: Size, way: str, seconds: float) -> float:
    """Allocations a second with ample seats."""
    _prepare(connection, size.numbers, size.numbers, 1_000_000, size.people)
    return clients.per_second(_allocate(url, way, size.people, seconds))


def _fill(connection: Connection, url: str, size: Size, way: str) -> Row:
    """What 1.6 times as many people as seats leave behind."""
    people = int(1.6 * size.with_room * size.seats_each)
    _prepare(connection, size.numbers, size.with_room, size.seats_each, people)
    _allocate(url, way, people, NO_LIMIT_S)
    schema = "public" if way == "ours" else "naive"
    found = connection.execute(_OUTCOME.format(schema=schema).encode()).fetchone()
    return dict(zip(("over_allocated", "numbers_over", "left_empty"), map(int, found or ()), strict=True))


def _allocate(url: str, way: str, people: int, seconds: float) -> clients.Joint:
    work = allocate_ours if way == "ours" else allocate_naively
    return clients.run(work, (url, people), clients=CLIENTS, processes=PROCESSES, seconds=seconds)


def _prepare(connection: Connection, numbers: int, with_room: int, seats: int, people: int) -> None:
    connection.execute(_CLEAR)
    for schema in ("public", "naive"):
        connection.execute(
            _NUMBERS.format(schema).encode(), {"numbers": numbers, "with_room": with_room, "seats": seats}
        )
        statement = _PEOPLE.format(schema, _PROFILE_ID.format("n")).encode()
        connection.execute(statement, {"people": people})
        connection.execute(f"vacuum analyze {schema}.whatsapp_instances, {schema}.profiles".encode())


def allocate_ours(turn: Turn, argument: tuple[str, int]) -> int:
    """Its share of the people, one call each."""
    url, people = argument
    statement = f"select public.allocate_whatsapp_instance({_PROFILE_ID.format('%s::bigint')})".encode()
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        turn.start()
        for person in range(turn.client, people, turn.clients):
            if turn.over():
                break
            connection.execute(statement, [person])
            done += 1
    return done


def allocate_naively(turn: Turn, argument: tuple[str, int]) -> int:
    """As the seed has it: draw among those with room, link the person, count, each a request of its own."""
    url, people = argument
    link = (
        f"update naive.profiles set whatsapp_instance_id = %s where id = {_PROFILE_ID.format('%s::bigint')}"
    )
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        turn.start()
        for person in range(turn.client, people, turn.clients):
            if turn.over():
                break
            drawn = connection.execute(_DRAW).fetchone()
            if drawn is not None:
                connection.execute(link.encode(), [*drawn, person])
                connection.execute(_COUNT, drawn)
            done += 1
    return done
