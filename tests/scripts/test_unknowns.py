"""`roleta unknowns` and `roleta decide`: what is uncertain as a table, and decisions on record."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from shared import outbox
from shared.db import Database
from tests.database.world import World
from tests.scripts.roleta import Roleta

SURE = ("--why", "I rang her", "--by", "Rita", "--yes")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A session that plays the worker."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield World(connection)


@pytest.fixture
def uncertain(world: World, aura: UUID) -> list[int]:
    """Two messages on Aura #1 that a provider never answered for; of the first there is evidence."""
    world.value("select messaging.set_gaps(%s, 0, 0, 'test')", aura)
    messages = []
    for tail in range(2):
        message = world.enqueue(aura, phone=f"551198000{tail:04d}")
        world.record(world.begun(message), "unknown", p_detail="ReadTimeout")
        messages.append(message)
    world.rows(
        "insert into messaging.evidence (message_id, attempt_id, source, says, happened_at, seen_at)"
        " select message_id, id, 'silence', 'not_sent', now(), now() from messaging.attempts"
        " where message_id = %s",
        messages[0],
    )
    return messages


def decisions(db: Database) -> list[tuple[object, ...]]:
    """All that was decided."""
    rows = db.rows("select message_id, decision, decided_by, why from messaging.decisions order by id")
    return [tuple(row.values()) for row in rows]


def test_the_table_says_what_is_known(roleta: Roleta, uncertain: list[int]) -> None:
    """Id, number, end of the phone, purpose, rule, and what the evidence says; never a whole phone."""
    first, second = uncertain
    lines = roleta.well("unknowns").splitlines()

    [one] = [line for line in lines if f" {first} " in line]
    [two] = [line for line in lines if f" {second} " in line]
    for part in ("Aura #1", "…0000", "direct", "hold", "silence says not sent"):
        assert part in one
    assert "…0001" in two and "none yet" in two
    assert "551198000" not in "\n".join(lines)
    assert lines.index(one) < lines.index(two)


def test_it_can_be_cut_short_and_read_by_programs(roleta: Roleta, uncertain: list[int]) -> None:
    """--limit says that there is more; --json has the same facts."""
    assert "these are the first 1; --limit shows more" in roleta.well("unknowns", "--limit", "1")

    told = roleta.told("unknowns", "--json")
    assert [each["message_id"] for each in told] == uncertain
    assert (told[0]["presumed"], told[0]["evidence"][0]["source"]) == ("not_sent", "silence")
    assert (told[1]["presumed"], told[1]["evidence"]) == (None, [])


def test_nothing_is_uncertain(roleta: Roleta) -> None:
    """Said in words."""
    assert roleta.well("unknowns").strip() == "nothing is uncertain"


@pytest.mark.parametrize(
    ("word", "state"), [("resend", "queued"), ("consider-sent", "accepted"), ("drop", "withdrawn")]
)
def test_a_decision_is_recorded(
    roleta: Roleta, db: Database, uncertain: list[int], word: str, state: str
) -> None:
    """Shown first with what it means, then done: who and why are on record, and the other message is left."""
    said = roleta.well("decide", str(uncertain[0]), word, *SURE)

    assert "silence says not sent" in said
    assert f"decided by Rita: message {uncertain[0]} is {state}" in said
    assert decisions(db) == [(uncertain[0], word.replace("-", "_"), "Rita", "I rang her")]
    assert [outbox.explain(db, each)["dispatch_state"] for each in uncertain] == [state, "unknown"]


def test_without_a_terminal_it_shows_and_decides_nothing__refused(
    roleta: Roleta, db: Database, uncertain: list[int]
) -> None:
    """The preview is printed with what a resend may do; nothing happens before somebody says yes."""
    result = roleta("decide", str(uncertain[0]), "resend", "--why", "x")

    assert result.exit_code == 1
    assert "gets it twice" in result.stdout
    assert "nothing decided" in result.stderr
    assert decisions(db) == []


def test_what_is_not_uncertain_is_one_clear_line__refused(
    roleta: Roleta, db: Database, uncertain: list[int]
) -> None:
    """No such message, one that is settled, one that the provider still has: exit code 1, nothing changed."""
    first, second = uncertain
    assert "no message with this id" in roleta.refused("decide", "999999", "drop", *SURE)
    roleta.well("decide", str(first), "drop", *SURE)
    said = roleta.refused("decide", str(first), "resend", *SURE)
    assert said == f"message {first} is not uncertain any more: it is withdrawn"
    db.rows(
        "insert into messaging.evidence (message_id, attempt_id, source, says, happened_at, seen_at)"
        " select message_id, id, 'provider_queue', 'waiting', now(), now() from messaging.attempts"
        " where message_id = %(message)s returning 1",
        {"message": second},
    )
    result = roleta("decide", str(second), "resend", *SURE)
    assert (result.exit_code, "provider's queue" in result.stderr) == (1, True)
    assert len(decisions(db)) == 1


@pytest.mark.parametrize("why", ["", " \t "])
def test_a_decision_without_a_reason__refused(
    roleta: Roleta, db: Database, uncertain: list[int], why: str
) -> None:
    """An empty reason is none; nothing is decided."""
    said = roleta.refused("decide", str(uncertain[0]), "drop", "--why", why, "--yes")
    assert said == "a decision says why"
    assert decisions(db) == []


def test_it_wants_a_reason_and_a_word_that_it_knows__refused(roleta: Roleta) -> None:
    """Told how to call it."""
    assert roleta("decide", "1", "drop").exit_code == 2
    assert roleta("decide", "1", "retry", "--why", "x").exit_code == 2
    assert roleta("decide", "x", "drop", "--why", "x").exit_code == 2
