"""An erasure that was cut off between its halves, or that something outlives, is finished by the next one."""

import pytest

from shared import retention
from shared.db import Database
from tests.database.erasing import EVERYTHING, in_flight, report
from tests.database.keeping import PHONE, WORDS, event, holding, somebody
from tests.database.world import World

# Committed, for the pool beside it and for whoever looks at everything.
pytestmark = pytest.mark.own_database


@pytest.mark.parametrize("cut_off", [(), ("before",), ("after",), ("before", "after")])
def test_what_the_app_is_told_after_an_erasure_goes_with_the_next_call(
    world: World, db: Database, cut_off: tuple[str, ...]
) -> None:
    """A message that is accepted after the first call writes its text into the app's history. The next call
    finds it and the row itself, also where either call was cut off between its halves."""
    person = somebody(world)
    attempt = in_flight(world, person)
    if "before" in cut_off:
        world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
    else:
        assert retention.erase(db, PHONE, by="tester").in_flight == 1
    world.record(attempt, "accepted")
    assert "public.messages" in holding(world, WORDS)

    if "after" in cut_off:
        world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
        assert any(retention.erase_preview(db, PHONE).values())
    assert retention.erase(db, PHONE, by="tester").in_flight == 0

    assert holding(world, EVERYTHING) == {}
    assert set(retention.erase_preview(db, PHONE).values()) == {0}
    assert retention.erase(db, PHONE, by="tester").erasures == ()


def test_nobody_is_written_to_between_two_calls(world: World, db: Database) -> None:
    """Though the erasure is not over yet: without a phone and canceled the person is chosen by nothing, and
    is found by no message of hers."""
    person = somebody(world)
    waiting = world.enqueue(person.number, phone=PHONE, profile_id=str(person.profile_id), purpose="answer")
    attempt = in_flight(world, person)

    begun = retention.erase(db, PHONE, by="tester")

    # It does not try in vain.
    assert (begun.in_flight, len(begun.erasures)) == (1, 1)
    assert world.state(waiting) == "withdrawn"
    [profile] = world.rows("select phone, status, whatsapp_instance_id from public.profiles")
    assert profile == {"phone": None, "status": "canceled", "whatsapp_instance_id": None}
    event(world, person, "E9", p_text="oi")
    assert world.rows("select * from messaging.claim_turn('w', 600)") == []
    world.record(attempt, "accepted")
    retention.erase(db, PHONE, by="tester")
    assert holding(world, EVERYTHING) == {}


def test_a_cut_off_erasure_of_somebody_without_a_profile_is_finished(world: World, db: Database) -> None:
    """Nothing but the erasure itself tells of it then; what agencies send to the phone is switched off."""
    report(world, PHONE)
    world.enqueue(world.number(gap=(0, 0)), phone=PHONE, content={"kind": "text", "text": WORDS})
    world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
    assert "public.whatsapp_report_settings" in holding(world, PHONE)
    retention.erase(db, PHONE, by="tester")
    assert holding(world, EVERYTHING) == {}
