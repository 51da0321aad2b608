"""`roleta retain` and `roleta erase`: what goes is shown first, and nothing goes without a yes."""

from uuid import UUID

import pytest

from shared import outbox, retention
from shared.db import Database
from tests.scripts.roleta import Roleta

PHONE = "5511987650001"


@pytest.fixture
def message(db: Database, aura: UUID) -> int:
    """A message that waits for a person, on Aura #1."""
    return outbox.enqueue(
        db, purpose="direct", phone=PHONE, dedupe_key="k", enqueued_by="send-zapi-message", text="um segredo"
    ).message_id


def content(db: Database) -> str:
    """What stands in the outbox."""
    return str(db.rows("select content from messaging.outbox"))


def test_retain_counts_first_and_then_removes(roleta: Roleta, db: Database, message: int) -> None:
    """--dry-run changes nothing; what waits is kept by both."""
    outbox.cancel(db, by="test", why="test", preview=False, message_id=message)
    with db.transaction() as transaction:
        transaction.rows(
            "update messaging.outbox set created_at = created_at - interval '9 days',"
            " changed_at = changed_at - interval '9 days'"
        )
        transaction.rows("update messaging.history set happened_at = happened_at - interval '9 days'")
    week = {"ROLETA_KEEP_TEXTS_DAYS": "7"}
    assert "would go" in roleta.well("retain", "--dry-run", **week)
    assert "um segredo" in content(db)
    assert "kept for ever" in roleta.well("retain", ROLETA_KEEP_TEXTS_DAYS="0")
    assert "um segredo" in content(db)
    said = roleta.well("retain", **week)
    assert "texts of messages that are over" in said and "um segredo" not in content(db)


def test_erase_shows_asks_and_erases(roleta: Roleta, db: Database, message: int) -> None:
    """Without a terminal and without --yes nothing goes; afterwards nothing is left to show. The phone is
    taken as a person writes it, and no output repeats it."""
    asked = roleta("erase", "(11) 8765-0001", "--why", "asked for it")
    assert asked.exit_code == 1 and "nothing erased" in asked.stderr and "messages" in asked.stdout
    assert "um segredo" in content(db)

    said = roleta.well("erase", "(11) 98765-0001", "--why", "asked for it", "--by", "Rita", "--yes")
    assert "recorded as erasure 1" in said and "98765" not in said and "um segredo" not in content(db)
    assert db.rows("select erased_by, why from messaging.erasures") == [
        {"erased_by": "Rita", "why": "asked for it"}
    ]
    assert "nothing of this phone" in roleta.well("erase", PHONE, "--yes")


def test_erase_says_when_something_is_on_its_way(roleta: Roleta, db: Database, message: int) -> None:
    """The one message that is being sent is not touched, and the command fails until it has ended."""
    [claimed] = db.call("messaging.claim", p_worker="w", p_limit=1)
    begun = db.call_one(
        "messaging.begin_attempt",
        p_message_id=claimed["message_id"],
        p_lease_token=claimed["lease_token"],
        p_worker="w",
    )
    result = roleta("erase", PHONE, "--yes")
    assert result.exit_code == 1 and "run this again" in result.stderr
    db.call_one("messaging.record_attempt", p_attempt_id=begun["attempt_id"], p_outcome="not_sent")
    roleta.well("erase", PHONE, "--yes")
    assert set(retention.erase_preview(db, PHONE).values()) == {0}


def test_erase_refuses_what_is_no_phone(roleta: Roleta) -> None:
    """A mistyped phone is told, in one line."""
    result = roleta("erase", "12", "--yes")
    assert result.exit_code == 1 and "phone" in result.stderr
