"""No deadlock, whatever runs beside whatever: all pairs of state-changing functions from eight sessions."""

import itertools
import random
import threading

import psycopg
import pytest

from tests.database.actions import ACTIONS, FUNCTIONS, REACTS, wanted
from tests.database.agency_actions import MANAGERS, found_agency
from tests.database.sessions import WAIT_S, all_at_once
from tests.database.world import Connect, Connection, World

CHANGING = """
    select p.proname from pg_proc as p
    where p.pronamespace in ('messaging'::regnamespace, 'public'::regnamespace) and p.provolatile = 'v'
        and has_function_privilege(%s, p.oid, 'execute') and p.proname <> 'clock'
"""


def test_every_function_that_changes_state_is_among_the_actions(world: World) -> None:
    """A new function that service_role or a manager may call joins the pairs below, or this fails."""
    assert {row["proname"] for row in world.rows(CHANGING, "service_role")} == set(FUNCTIONS)
    assert {row["proname"] for row in world.rows(CHANGING, "authenticated")} == set(MANAGERS)


def stir(world: World, source: random.Random) -> None:
    """Something of everything for the next pair: healthy numbers, a queue, leases, open attempts, expired
    rows."""
    world.rows("select messaging.resume_all('test')")
    found_agency(world)
    world.rows(
        "update public.whatsapp_instances set status = 'active', halted_reason = null, halted_at = null"
        " where status <> 'active' or halted_reason is not null"
    )
    world.prepare_returns()
    world.rows("update messaging.senders set returned_at = null, next_send_at = now(), wait_until = null")
    world.rows(
        "update messaging.outbox set created_at = created_at - interval '2 h',"
        " expires_at = created_at - interval '1 h' where dispatch_state in ('queued', 'held') and id %% 2 = 0"
    )
    world.rows(
        "insert into public.profiles (user_id, phone)"
        " select gen_random_uuid(), '551199' || lpad(g::text, 7, '0') from generate_series(0, 8, 2) as g"
        " on conflict do nothing"
    )
    world.enqueue_many([wanted(world, source) for _ in range(10)])
    world.rows("select messaging.wake_forgotten()")
    begun = [world.begin(claimed)["attempt_id"] for claimed in world.claim(16)[::2]]
    for attempt in begun[::2]:
        if attempt is not None:
            world.record(attempt, "unknown", p_provider_message_id=source.choice([None, f"P{attempt}"]))


def forget_all(world: World) -> None:
    """Of the pairs before nothing is left but people and numbers: to look for something in ever more rows
    takes ever longer."""
    world.rows(
        "truncate messaging.outbox, messaging.inbound_events, messaging.sightings, messaging.turns,"
        " messaging.erasures, messaging.stripe_events, messaging.opt_outs, public.messages cascade"
    )


def collide(connections: list[Connection], pairs: list[tuple[str, str]], calls: int) -> list[str]:
    """Each pair from eight sessions at once, so many calls each; every error that is not a refusal in our
    words."""
    gate = threading.Barrier(len(connections))

    def act(world: World, index: int) -> list[str]:
        source, wrong = random.Random(index), []
        world.rows("set deadlock_timeout = '20ms'")
        for number, pair in enumerate(pairs):
            gate.wait(WAIT_S)
            if index == 0:
                if number % 25 == 0:
                    forget_all(world)
                stir(world, source)
            gate.wait(WAIT_S)
            for name in source.choices(pair, k=calls):
                try:
                    ACTIONS[name](world, source)
                except psycopg.Error as error:
                    if not str(error.sqlstate).startswith("WP"):
                        wrong.append(f"{name} of {pair}: {error.sqlstate} {error}")
        return wrong

    return list(itertools.chain.from_iterable(all_at_once(connections, act)))


def ground(world: World) -> None:
    """Three numbers to collide on; stir() adds people."""
    world.rows(REACTS)
    for _ in range(3):
        world.number(seats=30, gap=(0, 0))


PAIRS = list(itertools.combinations_with_replacement(sorted(ACTIONS), 2))


@pytest.mark.parametrize(("share", "calls"), [(0.1, 3), pytest.param(1.0, 12, marks=pytest.mark.slow)])
def test_no_pair_of_functions_deadlocks(world: World, connect: Connect, share: float, calls: int) -> None:
    """Eight sessions, waits counted as deadlocks after 20 ms: none, and no error but refusals in our own
    words."""
    ground(world)
    pairs = random.Random(11).sample(PAIRS, round(len(PAIRS) * share))
    wrong = collide([connect() for _ in range(8)], pairs, calls)
    assert not wrong, "\n".join(wrong[:20])
    world.rows("select pg_stat_force_next_flush()")
    assert world.value("select deadlocks from pg_stat_database where datname = current_database()") == 0
