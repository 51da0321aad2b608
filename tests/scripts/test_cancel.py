"""`roleta cancel`: a preview, a question, and only what has not begun."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared import outbox
from shared.db import Database
from tests.scripts.roleta import Roleta


@pytest.fixture
def waiting(db: Database, aura: UUID) -> list[int]:
    """Three messages of one run that wait on Aura #1."""
    return [
        outbox.enqueue(
            db,
            purpose="direct",
            phone=f"551198000{tail:04d}",
            dedupe_key=f"key {tail}",
            enqueued_by="send-zapi-message",
            text="Oi",
            run_id="run 7",
        ).message_id
        for tail in range(3)
    ]


def _states(db: Database, messages: list[int]) -> list[str]:
    return [outbox.explain(db, message)["dispatch_state"] for message in messages]


def test_without_a_terminal_it_shows_and_withdraws_nothing__refused(
    roleta: Roleta, db: Database, waiting: list[int]
) -> None:
    """The preview is printed; nothing happens before somebody says yes."""
    result = roleta("cancel", "--run", "run 7", "--why", "wrong text")

    assert result.exit_code == 1
    assert "Aura #1" in result.stdout
    assert "nothing cancelled" in result.stderr
    assert _states(db, waiting) == ["queued"] * 3


@pytest.mark.parametrize(
    "aim", [("--run", "run 7"), ("--function", "send-zapi-message"), ("--number", "aura #1")]
)
def test_yes_withdraws_what_was_shown(
    roleta: Roleta, db: Database, waiting: list[int], aim: tuple[str, str]
) -> None:
    """A run, a function or a number: withdrawn, with who and why in the history."""
    assert "3 messages withdrawn" in roleta.well(
        "cancel", *aim, "--why", "wrong text", "--by", "Rita", "--yes"
    )

    last = outbox.explain(db, waiting[0])["history"][-1]
    assert (last["to"], last["by"], last["reason"]) == ("withdrawn", "Rita", "wrong text")
    assert _states(db, waiting) == ["withdrawn"] * 3


def test_one_message_leaves_the_others(roleta: Roleta, db: Database, waiting: list[int]) -> None:
    """--message withdraws exactly one."""
    assert "1 message withdrawn" in roleta.well(
        "cancel", "--message", str(waiting[1]), "--why", "typo", "--yes"
    )
    assert _states(db, waiting) == ["queued", "withdrawn", "queued"]


def test_what_is_over_is_left_alone(roleta: Roleta, waiting: list[int]) -> None:
    """Cancelling twice finds nothing the second time."""
    roleta.well("cancel", "--run", "run 7", "--why", "typo", "--yes")

    assert "nothing to cancel" in roleta.well("cancel", "--run", "run 7", "--why", "typo", "--yes")


def test_a_name_that_never_was__refused(roleta: Roleta, waiting: list[int]) -> None:
    """A mistyped message, run or function is no success: what was meant still waits."""
    sure = ("--why", "typo", "--yes")
    assert "no message with this id" in roleta.refused("cancel", "--message", "999999", *sure)
    assert "no run called 'run 8'" in roleta.refused("cancel", "--run", "run 8", *sure)
    said = roleta.refused("cancel", "--function", "sent-zapi-message", *sure)
    assert "'sent-zapi-message'" in said and "send-zapi-message" in said.split("known: ")[1]


def test_a_name_that_is_known_and_has_nothing_waiting_is_no_mistake(
    roleta: Roleta, db: Database, waiting: list[int]
) -> None:
    """One of our functions, a name that once enqueued something, a run of the scheduler that found nobody, a
    message that is over."""
    sure = ("--why", "typo", "--yes")
    outbox.enqueue(
        db, purpose="direct", phone="5511980009999", dedupe_key="k", enqueued_by="a program", text="Oi"
    )
    roleta.well("cancel", "--function", "a program", *sure)
    slot = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    db.rows(
        "insert into messaging.schedules (function_name, first_seen_at) values ('weekly-report', %(slot)s)"
        " returning 1",
        {"slot": slot},
    )
    db.rows(
        "insert into messaging.schedule_runs (function_name, slot, worker, lease_token, leased_until,"
        " taken_count, started_at) values ('weekly-report', %(slot)s, 'w', gen_random_uuid(), %(slot)s, 1,"
        " %(slot)s) returning 1",
        {"slot": slot},
    )
    roleta.well("cancel", "--message", str(waiting[0]), *sure)
    for aim in (
        ("--function", "start-trial"),
        ("--function", "a program"),
        ("--run", "weekly-report:2026-01-31T09:30Z"),
        ("--message", str(waiting[0])),
    ):
        assert "nothing to cancel" in roleta.well("cancel", *aim, *sure)
    assert "no run called" in roleta.refused("cancel", "--run", "weekly-report:2026-01-31T09:31Z", *sure)


def test_it_wants_one_aim_and_a_reason__refused(roleta: Roleta) -> None:
    """No aim, two aims, or no reason: told how to call it."""
    assert roleta("cancel", "--why", "x").exit_code == 2
    assert roleta("cancel", "--message", "1", "--run", "a", "--why", "x").exit_code == 2
    assert roleta("cancel", "--message", "1").exit_code == 2
    assert "no number called" in roleta.refused("cancel", "--number", "Aura #8", "--why", "x")
