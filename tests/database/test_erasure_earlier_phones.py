"""A person is erased with the phones they had before, and with no phone that is somebody else's."""

import json

import pytest

from shared import retention
from shared.db import Database
from tests.database.erasing import EVERYTHING, OTHER, report
from tests.database.keeping import PHONE, WORDS, Person, event, holding, somebody
from tests.database.uncertain import outgoing
from tests.database.world import World

# Committed, for the pool beside it and for whoever looks at everything.
pytestmark = pytest.mark.own_database


EARLIER, EARLIER_KEY = "5521998761234", "552198761234"


def moved(world: World) -> Person:
    """A person who was written to, and wrote, under EARLIER, and has PHONE today."""
    person = somebody(world, EARLIER)
    event(world, person, "E0", p_phone=EARLIER, p_payload=json.dumps({"phone": EARLIER, "text": WORDS}))
    invitation = {
        "phone": EARLIER, "profile_id": str(person.profile_id), "dedupe_key": f"invite {EARLIER}",
        "content": {"kind": "text", "text": WORDS},
    }  # fmt: skip
    world.enqueue(person.number, **invitation)
    outgoing(world, person.number, "BY-HAND", phone=EARLIER, sent_by="hand", text=WORDS)
    world.value("select messaging.take_over(null, messaging.phone_key(%s), 600)", EARLIER)
    world.rows("update public.profiles set phone = %s where id = %s", PHONE, person.profile_id)
    return person


@pytest.mark.parametrize("cut_off", [False, True])
def test_an_earlier_phone_is_erased_with_the_person(world: World, db: Database, cut_off: bool) -> None:
    """Wherever the phone of today is looked for, those are too under which the person wrote or was written
    to, also by a call after one that was cut off; the preview counts the same. A stop in force keeps its
    key."""
    moved(world)
    report(world, EARLIER)
    world.rows(
        "insert into messaging.opt_outs (phone_key, word, opted_out_at) values (%s, %s, now())",
        EARLIER_KEY, WORDS,
    )  # fmt: skip
    found = retention.erase_preview(db, PHONE)
    assert (found["messages"], found["events"], found["lids"], found["stops kept"]) == (1, 2, 1, 1)
    assert set(holding(world, f"{EARLIER}|{EARLIER_KEY}")) == {
        "messaging.outbox", "messaging.inbound_events", "messaging.person_lids", "messaging.sightings",
        "messaging.opt_outs", "messaging.takeovers", "messaging.turns", "public.zapi_message_dedup",
        "public.whatsapp_report_settings",
    }  # fmt: skip

    if cut_off:
        world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
    retention.erase(db, PHONE, by="tester")

    [first, *_] = world.rows("select erased from messaging.erasures order by id")
    assert (first["erased"]["messages"], first["erased"]["events"]) == (1, 2)
    left = holding(world, f"{EVERYTHING}|{EARLIER}|{EARLIER_KEY}")
    assert [(table, row["phone_key"], row["word"]) for table, rows in left.items() for row in rows] == [
        ("messaging.opt_outs", EARLIER_KEY, None)
    ]
    assert retention.erase_preview(db, PHONE) == dict.fromkeys(found, 0)


def test_an_earlier_phone_that_is_somebody_else_s_today_stays_theirs(world: World, db: Database) -> None:
    """Under a recycled number only what bears the erased person's profile is theirs; all that whoever has the
    number now wrote, waits for or set up is as it was."""
    person = moved(world)
    answered = "select messaging.finish_turn(person_key, lease_token, last_event_id, '[]', '{}', 'w')"
    world.rows(f"{answered} from messaging.claim_turn('w', 600)")
    world.rows("delete from messaging.takeovers")
    heir = somebody(world, EARLIER, "Outra Pessoa")
    # Learned anew: the number is behind another LID by now.
    event(
        world, heir, "H1", p_phone=EARLIER, p_lid="111222333444555@lid", p_text="quero ajuda",
        p_payload=json.dumps({"phone": EARLIER, "text": "quero ajuda"}),
    )  # fmt: skip
    waits = world.enqueue(heir.number, phone=EARLIER, profile_id=str(heir.profile_id))
    report(world, EARLIER)
    unchanged = {
        table: rows
        for table, rows in holding(world, f"{EARLIER}|{EARLIER_KEY}").items()
        if table not in ("messaging.outbox", "messaging.inbound_events", "messaging.turns")
    }

    retention.erase(db, PHONE, by="tester")

    [gone] = world.rows("select name, status from public.profiles where id = %s", person.profile_id)
    assert gone == {"name": None, "status": "canceled"}
    left = holding(world, f"{EARLIER}|{EARLIER_KEY}")
    assert {table: rows for table, rows in left.items() if table in unchanged} == unchanged
    assert [row["id"] for row in left["messaging.outbox"]] == [waits] and world.state(waits) == "queued"
    events = {
        row["event_key"]: (row["text"], row["processed_at"]) for row in left["messaging.inbound_events"]
    }
    assert events["H1"] == ("quero ajuda", None) and "E0" not in events
    [turn] = world.rows("select * from messaging.claim_turn('w', 600)")
    assert [said["text"] for said in turn["events"]] == ["quero ajuda"]
    profiles = holding(world, EARLIER)["public.profiles"]
    assert [(row["id"], row["status"]) for row in profiles] == [(str(heir.profile_id), "active")]


def test_a_number_of_ours_is_nobody_s_earlier_phone(world: World, db: Database) -> None:
    """A trial message of the person's profile to one of our numbers does not make its correspondence hers."""
    person = somebody(world)
    world.value("select messaging.set_phone_number(%s, %s, 'test')", world.number(), OTHER)
    world.enqueue(person.number, phone=OTHER, profile_id=str(person.profile_id))
    stays = world.enqueue(person.number, phone=OTHER)
    assert retention.erase_preview(db, PHONE)["messages"] == 1
    retention.erase(db, PHONE, by="tester")
    assert (world.state(stays), world.message(stays)["phone"]) == ("queued", OTHER)
