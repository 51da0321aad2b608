"""The commands that look: status, why, audit, effects."""

import re
import time
from collections.abc import Iterator
from datetime import UTC
from uuid import UUID

import psycopg
import pytest

from scripts.commands.tables import moment
from shared import instances, outbox
from shared.db import Database
from tests.scripts.roleta import Roleta


def _enqueued(db: Database, tail: int = 1, **fields: str) -> int:
    return outbox.enqueue(
        db,
        purpose="direct",
        phone=f"551198000{tail:04d}",
        dedupe_key=f"key {tail}",
        enqueued_by="the test",
        text="Oi",
        **fields,  # type: ignore[arg-type]
    ).message_id


def test_status_of_an_empty_pool_says_how_to_begin(roleta: Roleta) -> None:
    """No number yet: the line names the command that adds one."""
    assert "roleta instance add" in roleta.well("status")


def test_status_shows_people_queue_and_health(roleta: Roleta, db: Database, aura: UUID) -> None:
    """One line per number, never cut off in a pipe; the same as JSON."""
    _enqueued(db)
    instances.set_instance_status(db, aura, "banned", by="the test")
    said = roleta.well("status")

    assert "Aura #1 (default)" in said
    assert "25-45 s" in said
    assert "banned" in said
    told = roleta.told("status", "--json")
    assert (told["paused"], told["audit_findings"], told["failed_effects"]) == (None, 0, 0)
    assert [(row["name"], row["timed"], row["seats"]) for row in told["numbers"]] == [("Aura #1", 1, 250)]


def test_status_shows_that_everything_is_paused_and_by_whom(roleta: Roleta, aura: UUID) -> None:
    """A pause stands above the table until it is ended; each order says whether it changed anything."""
    assert "everything is paused" in roleta.well("pause-all", "--why", "lunch", "--by", "Rita")
    assert "already" in roleta.well("pause-all", "--by", "Rita")
    assert roleta.well("status").startswith("PAUSED by Rita: lunch")
    assert roleta.told("status", "--json")["paused"]["paused_why"] == "lunch"
    assert "running again" in roleta.well("resume-all")
    assert "nothing was paused" in roleta.well("resume-all")
    assert "PAUSED" not in roleta.well("status")


def test_why_tells_a_waiting_message_in_sentences(roleta: Roleta, db: Database, aura: UUID) -> None:
    """What, where, because of what, and when; never the phone in full."""
    message = _enqueued(db, 4321, run_id="run 7")
    said = roleta.well("why", str(message))

    assert "direct to …4321 from Aura #1, enqueued by the test (run run 7)" in said
    assert "it is queued: it waits for its turn at the pace of Aura #1" in said
    assert "expected to leave at" in said
    assert "history" in said
    assert "551198000" not in said
    assert roleta.told("why", str(message), "--json")["dispatch_state"] == "queued"


def test_why_names_what_holds_a_message(roleta: Roleta, db: Database, aura: UUID) -> None:
    """A number that is down is the reason, and then no time is promised."""
    message = _enqueued(db)
    roleta.well("instance", "pause", "Aura #1", "--why", "new phone")
    said = roleta.well("why", str(message))

    assert "the number Aura #1 is paused" in said
    assert "cannot be foretold" in said


def test_why_of_a_message_that_is_not_there__refused(roleta: Roleta) -> None:
    """A strange id is one line."""
    assert "no message" in roleta.refused("why", "4711")
    assert roleta("why", "four").exit_code == 2


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's clock is far from the recipients', who are in Brazil."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_why_tells_all_its_times_on_the_readers_clock(roleta: Roleta, db: Database, aura: UUID) -> None:
    """What the number's return means stands beside the other times: on one clock, wherever the person is. As
    JSON it is ISO 8601, with its zone, as the other times are."""
    message = _enqueued(db)
    for status in ("disconnected", "active"):
        db.call("messaging.set_instance_status", p_instance_id=aura, p_status=status, p_by="the test")

    def told() -> list[str]:
        return [" ".join(roleta.well("why", str(message)).split()), *outbox.return_notes(db, message)]

    [row] = db.rows("select s.returned_at from messaging.senders as s")
    said, note = told()
    assert f"came back at {moment(row['returned_at'])} and stays silent" in said
    assert f"{row['returned_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" in note

    [taken] = db.call("messaging.take_returns", p_limit=1)
    db.call("messaging.finish_return", p_instance_id=aura, p_token=taken["return_token"], p_found=0)
    said = told()[0]
    assert f"came back at {moment(row['returned_at'])}; ramping until " in said
    assert not re.search(r"\dT\d", said)


@pytest.mark.parametrize("words", [("why",), ("decide", "drop", "--why", "x"), ("cancel", "--why", "x")])
def test_an_id_beyond_what_there_can_be_is_told_its_range__refused(
    roleta: Roleta, words: tuple[str, ...]
) -> None:
    """Not advice about migrations."""
    name, *rest = words
    beyond = str(2**63)
    given = [name, "--message", beyond, *rest] if name == "cancel" else [name, beyond, *rest]
    result = roleta(*given)
    assert result.exit_code == 2
    assert f"not in the range 1<=x<={2**63 - 1}" in " ".join(result.stderr.split())
    within = [each.replace(beyond, str(2**63 - 1)) for each in given]
    assert "no message with this id" in roleta.refused(*within)


def test_status_tells_a_gap_in_one_unit(roleta: Roleta, db: Database, aura: UUID) -> None:
    """As `instance gaps` does: of 30 to 60 s neither end is in another unit."""
    for smallest, largest, shown in (
        (30, 60, " 30-60 s "),
        (90, 600, " 90-600 s "),
        (0.5, 1.5, " 0.5-1.5 s "),
    ):
        instances.set_gaps(db, aura, smallest, largest, by="the test")
        assert shown in roleta.well("status")


def test_audit_without_findings_says_so(roleta: Roleta) -> None:
    """Nothing wrong: exit code 0."""
    assert roleta.well("audit") == "no findings\n"
    assert roleta.told("audit", "--json") == []


@pytest.mark.audit_findings_expected
def test_audit_with_findings_fails_and_status_counts_them(
    roleta: Roleta, aura: UUID, database_url: str
) -> None:
    """What the database finds wrong is printed, fails the command, and shows in the status."""
    with psycopg.connect(database_url) as connection:
        connection.execute("update public.whatsapp_instances set current_users = 7")
    result = roleta("audit")

    assert result.exit_code == 1
    assert "seats_miscounted" in result.stdout
    assert "1 audit findings: roleta audit" in roleta.well("status")


def test_failed_effects_are_counted_and_tried_again(
    roleta: Roleta, db: Database, aura: UUID, database_url: str
) -> None:
    """A failed effect shows in the status until a retry succeeds; a retry that fails says so."""
    message = _enqueued(db)
    roleta.well("cancel", "--message", str(message), "--why", "only its effect matters here", "--yes")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into messaging.failed_effects (message_id, effect, failed_at, error) values"
            " (%s, 'effect_history', now(), 'P0001'), (%s, 'no_such_effect', now(), 'P0001')",
            [message, message],
        )
    assert "2 failed effects: roleta effects retry" in roleta.well("status")
    result = roleta("effects", "retry")

    assert result.exit_code == 1
    assert "1 of 2 failed effects succeeded" in result.stdout
    assert roleta.told("status", "--json")["failed_effects"] == 1
