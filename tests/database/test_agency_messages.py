"""What agencies' crons share on the way into the outbox: one message that is refused keeps no other."""

from uuid import uuid4

import pytest

from shared.agency_messages import enqueue_each, phone_of
from shared.db import Database
from shared.outbox import NewMessage
from tests.edge.gateway import add_number


def message(key: str, phone: str = "5511987650001", text: str = "Oi") -> NewMessage:
    """A message of the house, for want of an agency."""
    return NewMessage(purpose="direct", phone=phone, dedupe_key=key, enqueued_by="test", text=text)


def test_a_refused_message_keeps_no_other(db: Database) -> None:
    """Answered in their order: enqueued, refused and why, enqueued; the outbox itself takes all or none."""
    add_number(db)
    told = enqueue_each(db, [message("a"), message("b", phone="12"), message("c", text=""), message("d")])
    assert [each.created for each in told] == [True, False, False, True]
    assert [each.message_id is None for each in told] == [False, True, True, False]
    assert "phone" in str(told[1].refusal) and "text" in str(told[2].refusal)
    assert db.rows("select dedupe_key from messaging.outbox order by id") == [
        {"dedupe_key": "a"},
        {"dedupe_key": "d"},
    ]


def test_more_than_one_batch_and_none_at_all(db: Database) -> None:
    """1,001 messages, one of them twice; an empty list asks nothing."""
    add_number(db)
    keys = [uuid4().hex for _ in range(1000)]
    told = enqueue_each(db, [message(key) for key in [*keys, keys[0]]])
    assert (len(told), sum(each.created for each in told)) == (1001, 1000)
    assert told[0].message_id == told[-1].message_id
    assert enqueue_each(db, []) == []


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("(11) 98765-0001", "5511987650001"),
        ("551187650001", "5511987650001"),
        ("+351 912 345 678", "351912345678"),
        ("12", None),
        ("", None),
        (None, None),
        ("call me", None),
    ],
)
def test_a_phone_is_read_as_a_manager_writes_it(written: str | None, digits: str | None) -> None:
    """With country code and ninth digit; None for what is no phone."""
    assert phone_of(written) == digits
