"""What the pages do with reports: sent now, previewed, set and followed, under the manager's own rights."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import reports
from shared.db import Database
from shared.errors import Forbidden, InvalidInput, NotFound
from shared.identity import Person
from tests.database.agency_world import PHONE, Agency, figures, logs
from tests.database.world import BentClock, Connect, World

NONCE = "click-0001"


@pytest.fixture
def agency(connect: Connect) -> Agency:
    """An agency whose own number is open, on a Wednesday at noon."""
    world = World(connect())
    BentClock(world, "2026-11-18 12:00-03")
    found = Agency(world)
    found.describe("Agência Lua")
    found.connect()
    return found


def person(user_id: UUID) -> Person:
    """Somebody signed in."""
    return Person(user_id, None, "token", {"sub": str(user_id), "role": "authenticated"})


@pytest.fixture
def theirs(db: Database, agency: Agency) -> Any:
    """The database under the manager's rights."""
    return db.as_person(person(agency.manager_id))


def ready(agency: Agency, **columns: object) -> UUID:
    """A client with figures and manual settings."""
    client = agency.client()
    agency.setting(client, **({"frequency": "manual", "is_active": False} | columns))
    figures(agency.world, client, "2026-11-11", 7, spend=10, revenue=30)
    return client


def outbox(agency: Agency) -> list[dict[str, Any]]:
    """The messages, oldest first."""
    return agency.world.rows("select * from messaging.outbox order by id")


def test_bug_30_send_now_needs_no_secret_of_the_cron_s(db: Database, theirs: Any, agency: Agency) -> None:
    """The manager's own rights suffice; the original's page called the cron without its header and got a
    401."""
    client = ready(agency)
    sent = reports.send_now(db, theirs, client, NONCE)
    [message] = outbox(agency)
    assert (sent.message_id, sent.created, sent.spoken_by, sent.unsent) == (
        message["id"],
        True,
        "agency",
        None,
    )
    assert sent.expected_at is not None and sent.sent_from == message["facts"]["sent_from"]
    assert message["dedupe_key"] == f"report:{client}:manual:{NONCE}"
    assert (message["purpose"], message["lane"], message["agency_id"]) == (
        "agency_report", "bulk", agency.manager_id,
    )  # fmt: skip
    assert message["content"]["text"].startswith("📊") and "R$ 70,00" in message["content"]["text"]
    assert (message["enqueued_by"], message["phone"]) == ("report-now", PHONE)


def test_a_double_click_is_one_message_and_a_second_wish_another(
    db: Database, theirs: Any, agency: Agency
) -> None:
    """Four clicks of one page at once: one; the page opened anew: one more."""
    client = ready(agency)
    with ThreadPoolExecutor(4) as clicks:
        sent = list(clicks.map(lambda _: reports.send_now(db, theirs, client, NONCE), range(4)))
    assert sorted(each.created for each in sent) == [False, False, False, True]
    assert len({each.message_id for each in sent}) == 1
    assert reports.send_now(db, theirs, client, "click-0002").created is True
    assert len(outbox(agency)) == 2


def test_send_now_is_for_one_s_own_clients_alone(db: Database, theirs: Any, agency: Agency) -> None:
    """A foreign client and a made-up one are refused alike; a client's own login may not send at all."""
    foreign = ready(Agency(agency.world))
    told = set()
    for client in (foreign, uuid4()):
        with pytest.raises(NotFound) as caught:
            reports.send_now(db, theirs, client, NONCE)
        told.add(str(caught.value))
    assert len(told) == 1
    client = ready(agency)
    with pytest.raises(Forbidden):
        reports.send_now(db, db.as_person(person(client)), client, NONCE)
    assert outbox(agency) == [] and logs(agency.world) == []


@pytest.mark.parametrize("nonce", ["", "short", "x" * 65, "with space", "a:b:c:d:e", "ünïcödé-1"])
def test_a_nonce_has_a_form__refused(db: Database, theirs: Any, agency: Agency, nonce: str) -> None:
    """It becomes a part of a key."""
    with pytest.raises(InvalidInput, match="nonce"):
        reports.send_now(db, theirs, ready(agency), nonce)


@pytest.mark.parametrize(
    ("phone", "unsent"),
    [(None, "no_phone"), ("", "no_phone"), ("123", "wrong_phone"), ("call me", "wrong_phone")],
)
def test_what_cannot_be_sent_says_why_and_is_logged(
    db: Database, theirs: Any, agency: Agency, phone: str | None, unsent: str
) -> None:
    """In Portuguese, beside the button; once in the log, however often it is clicked."""
    client = ready(agency, phone_number=phone)
    for _ in range(2):
        sent = reports.send_now(db, theirs, client, NONCE)
        assert (sent.message_id, sent.created, sent.unsent) == (None, False, unsent)
        assert sent.why is not None and "telefone" in sent.why.lower()
    [log] = logs(agency.world)
    assert (log["status"], log["error_message"], log["spoken_by"]) == ("error", sent.why, "agency")


def test_nobody_who_speaks_is_a_reason_too(db: Database, agency: Agency) -> None:
    """Neither client nor agency ever connected a number."""
    mute = Agency(agency.world)
    client = ready(mute)
    sent = reports.send_now(db, db.as_person(person(mute.manager_id)), client, NONCE)
    assert (sent.unsent, sent.spoken_by) == ("no_speaker", None)


def test_phones_as_people_write_them_are_understood(db: Database, theirs: Any, agency: Agency) -> None:
    """Stored by another program with brackets and without a country code."""
    client = ready(agency, phone_number="(11) 98765-0001")
    assert reports.send_now(db, theirs, client, NONCE).message_id is not None
    assert outbox(agency)[0]["phone"] == "5511987650001"


def test_a_preview_is_the_text_and_sends_nothing(db: Database, theirs: Any, agency: Agency) -> None:
    """Word for word what would go; no phone in full."""
    client = ready(agency)
    shown = reports.preview(theirs, client)
    assert (shown.phone_tail, shown.spoken_by, shown.unsent, shown.why) == ("…0001", "agency", None, None)
    assert outbox(agency) == []
    reports.send_now(db, theirs, client, NONCE)
    assert outbox(agency)[0]["content"]["text"] == shown.text
    without = reports.preview(theirs, agency.client())
    assert (without.unsent, without.phone_tail) == ("no_phone", None) and without.text and without.why


def test_settings_are_saved_with_the_phone_as_it_is_typed(theirs: Any, agency: Agency) -> None:
    """Digits with country code are stored; what is no phone is refused by the field's name."""
    client = agency.client()
    saved = reports.save_settings(theirs, client, {"frequency": "daily", "phone_number": "11 98765-0001"})
    assert saved == reports.settings(theirs, client)
    assert (saved["phone_number"], saved["is_active"]) == ("5511987650001", True)
    for changes in ({"phone_number": "abc"}, {"phone_number": "123"}):
        with pytest.raises(InvalidInput, match=r"^phone_number: "):
            reports.save_settings(theirs, client, changes)
    assert (
        reports.save_settings(theirs, client, {"frequency": "manual", "phone_number": " "})["saved"] is True
    )


def test_deliveries_show_what_was_sent_and_what_was_not(db: Database, theirs: Any, agency: Agency) -> None:
    """A waiting message and a logged error, as values."""
    sent, unsent = ready(agency), ready(agency, phone_number=None)
    for client in (sent, unsent):
        reports.send_now(db, theirs, client, NONCE)
    told = {row.client_id: row for row in reports.deliveries(theirs)}
    assert (told[sent].dispatch_state, told[sent].log_status) == ("queued", None)
    assert (told[unsent].message_id, told[unsent].log_status) == (None, "error")
    assert told[sent].period_start == date(2026, 11, 11)
    assert [row.client_id for row in reports.deliveries(theirs, sent, limit=1)] == [sent]


def test_a_figure_that_is_none_fails_its_own_report_only(db: Database, agency: Agency) -> None:
    """NaN in an adopted table: that client's is logged, the others go."""
    broken, good = agency.client(), agency.client()
    for client in (broken, good):
        agency.setting(client, send_time="11:30")
    figures(agency.world, broken, "2026-11-12", spend="NaN")
    _, found = reports.due(db)
    handed = reports.hand_over(db, found, enqueued_by="test", run_id=None)
    assert (handed.sent, handed.repeated, handed.failed) == (1, 0, 1)
    assert [message["subject_id"] for message in outbox(agency)] == [str(good)]
    assert [log["client_id"] for log in logs(agency.world)] == [broken]
