"""A person is erased: nothing of phone, name or words is found in any table, but a stop that is in force."""

import json
import uuid

import pytest

from shared import retention
from shared.db import Database
from shared.errors import Conflict, InvalidInput
from tests.database.erasing import EVERYTHING, counts, everywhere
from tests.database.keeping import (
    LID,
    NAME,
    OTHER_FORM,
    PHONE,
    STATES,
    WORDS,
    event,
    holding,
    somebody,
)
from tests.database.uncertain import attempt_of, outgoing, uncertain
from tests.database.world import World

# Committed, for the pool beside it and for whoever looks at everything.
pytestmark = pytest.mark.own_database


@pytest.mark.scoreboard("S19", tier="commit")
def test_nothing_of_an_erased_person_is_found_anywhere(world: World, db: Database) -> None:
    """Every column of every table is searched for the phone in both forms, the LID, the name and the words;
    what is counted is counted as before, and somebody else is untouched."""
    other = somebody(world, "5521912345678", "Outra Pessoa")
    person, made = everywhere(world)
    stays = world.enqueue(other.number, phone="5521912345678", content={"kind": "text", "text": "Olá, Outra"})
    before = counts(world)
    assert set(holding(world, EVERYTHING)) >= {
        "messaging.outbox", "messaging.inbound_events", "messaging.person_lids", "messaging.turns",
        "messaging.attempts", "messaging.failed_effects", "messaging.opt_outs", "messaging.takeovers",
        "public.profiles", "public.messages", "public.sessions", "public.zapi_message_dedup",
    }  # fmt: skip

    done = retention.erase(db, PHONE, by="tester", why="asked for it")

    # Somebody else said the same words.
    words = holding(world, f"{PHONE}|{OTHER_FORM}|{OTHER_FORM[2:]}|{LID.partition('@')[0]}|{NAME}|bruna")
    assert words == {}
    holders = {row.get("user_id") for rows in holding(world, WORDS).values() for row in rows}
    assert holders == {str(other.user_id)}
    assert counts(world) == before
    assert done.in_flight == 0
    assert world.state(stays) == "queued" and "Outra" in str(world.message(stays)["content"])
    states = {state: world.state(made[state]) for state in STATES}
    waited = ("queued", "draft", "held", "leased", "unknown")
    assert states == {state: "withdrawn" if state in waited else state for state in STATES}
    [profile] = world.rows("select * from public.profiles where id = %s", person.profile_id)
    assert (profile["phone"], profile["name"], profile["email"]) == (None, None, None)
    assert (profile["status"], profile["whatsapp_instance_id"]) == ("canceled", None)
    assert world.instance(person.number)["current_users"] == 0
    assert world.findings() == set()


def test_it_is_recorded_by_whom_when_and_how_many_not_whom(world: World, db: Database) -> None:
    """One row; its id is where the phone was, so that the messages of one person can still be counted."""
    _, made = everywhere(world)
    said = world.value("select count(*) from public.messages")
    done = retention.erase(db, OTHER_FORM, by="tester", why="asked for it")
    [row] = world.rows("select * from messaging.erasures")
    assert (row["erased_by"], row["why"], (row["id"],)) == ("tester", "asked for it", done.erasures)
    assert row["erased"]["messages"] >= len(made) and row["erased"]["events"] == 3
    assert (row["erased"]["public.profiles"], row["erased"]["public.messages"]) == (1, said)
    phones = world.rows("select distinct phone, phone_key from messaging.outbox")
    assert phones == [{"phone": f"erased:{row['id']}", "phone_key": f"erased:{row['id']}"}]


def test_erased_again_nothing_happens_and_nothing_is_recorded(world: World, db: Database) -> None:
    """Idempotent: the second time there is nobody."""
    everywhere(world)
    retention.erase(db, PHONE, by="tester")
    found = retention.erase_preview(db, PHONE)
    assert set(found.values()) == {0}
    again = retention.erase(db, PHONE, by="tester")
    assert (again.erasures, again.rows, again.in_flight) == ((), {}, 0)
    assert world.value("select count(*) from messaging.erasures") == 1


def test_a_stop_outlives_the_person(world: World, db: Database) -> None:
    """Who said SAIR is not written to again, though somebody enters the phone anew: of her, one key stays."""
    person = somebody(world)
    event(world, person, "E1", p_text="SAIR", p_command="stop")
    retention.erase(db, PHONE, by="tester")

    kept = holding(world, f"{PHONE}|{OTHER_FORM}")
    assert set(kept) == {"messaging.opt_outs"}
    [stop] = kept["messaging.opt_outs"]
    assert (stop["phone_key"], stop["word"], stop["opted_in_at"]) == (OTHER_FORM, None, None)
    number = world.number(gap=(0, 0))
    world.purpose("proactive", opt_out=True)
    later = world.enqueue(number, phone=PHONE, purpose="proactive")
    world.claim()
    assert (world.state(later), world.message(later)["reason"]) == ("withdrawn", "the person opted out")


def test_an_erased_person_may_come_back_as_somebody_new(world: World, db: Database) -> None:
    """Without a stop nothing hinders a new sign-up, which finds nothing of the old one."""
    person = somebody(world)
    retention.erase(db, PHONE, by="tester")
    signed = world.sign_up(PHONE)
    assert signed["already_exists"] is False and signed["profile_id"] != person.profile_id


def test_what_is_being_sent_is_for_the_next_call(world: World, db: Database) -> None:
    """Its words have left us; it may come back to the queue, so it is not touched until it has ended."""
    person = somebody(world)
    message = world.enqueue(person.number, phone=PHONE, content={"kind": "text", "text": WORDS})
    attempt = world.begun(message)
    assert retention.erase(db, PHONE, by="tester").in_flight == 1
    assert world.state(message) == "sending"
    world.record(attempt, "not_sent")
    assert retention.erase(db, PHONE, by="tester").in_flight == 0
    assert world.state(message) == "withdrawn" and holding(world, f"{PHONE}|{WORDS}") == {}


def test_an_erasure_that_was_cut_off_is_finished_by_the_next(world: World, db: Database) -> None:
    """After the first half alone the phone is still found by the profile; the next call does the rest."""
    somebody(world)
    world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
    assert retention.erase_preview(db, PHONE)["profiles"] == 1
    retention.erase(db, PHONE, by="tester")
    assert holding(world, f"{PHONE}|{NAME}|{WORDS}") == {}


def test_two_persons_erased_do_not_meet(world: World, db: Database) -> None:
    """Also where the app's column of phones is unique and may not be empty."""
    world.rows("alter table public.profiles alter column phone set not null")
    somebody(world)
    somebody(world, "5521912345678", "Outra Pessoa")
    retention.erase(db, PHONE, by="tester")
    retention.erase(db, "5521912345678", by="tester")
    assert holding(world, f"{PHONE}|5521912345678") == {}
    assert world.value("select count(*) from public.profiles") == 2


def test_a_turn_that_a_worker_has_in_hand_ends_in_nothing(world: World, db: Database) -> None:
    """Its answer is not enqueued: the worker is told that the turn is not its own any more."""
    person = somebody(world)
    event(world, person, "E1")
    [turn] = world.rows("select * from messaging.claim_turn('w', 600)")
    retention.erase(db, PHONE, by="tester")
    [done] = world.rows(
        "select * from messaging.finish_turn(%s, %s, %s, %s, '{}', 'w')",
        turn["person_key"], turn["lease_token"], turn["last_event_id"], json.dumps([{"text": WORDS}]),
    )  # fmt: skip
    assert done["finished"] is False
    assert holding(world, WORDS) == {}


def test_numbers_of_ours_and_what_is_no_phone_are_refused(world: World, db: Database) -> None:
    """A mistyped phone must not erase a number's whole correspondence."""
    number = world.number()
    world.value("select messaging.set_phone_number(%s, %s, 'test')", number, PHONE)
    with pytest.raises(Conflict):
        retention.erase(db, PHONE, by="tester")
    with pytest.raises(InvalidInput):
        retention.erase(db, "12", by="tester")


def test_what_is_known_of_an_uncertain_message_loses_its_words(world: World, db: Database) -> None:
    """Evidence stays with its source and its time, decisions with whoever took them; a provider's error, a
    reason and what was seen to leave the number for this person do not."""
    number = world.number()
    message = uncertain(world, number, phone=PHONE)
    attempt = attempt_of(world, message)
    for receipt, error in (("sent", None), ("failed", f"{PHONE} {WORDS}"), ("delivered", None)):
        world.rows(
            "insert into messaging.evidence"
            " (message_id, attempt_id, source, says, happened_at, seen_at, detail)"
            " values (%s, %s, 'receipt', 'sent', now(), now(), %s)",
            message, attempt, receipt + (f": {error}" if error else ""),
        )  # fmt: skip
    outgoing(world, number, "BY-HAND", phone=OTHER_FORM, sent_by="hand", text=WORDS)
    world.rows("select messaging.decide_unknown(%s, 'drop', 'op', %s)", message, f"{NAME}: {WORDS}")

    retention.erase(db, PHONE, by="tester")

    assert holding(world, f"{PHONE}|{OTHER_FORM}|{OTHER_FORM[2:]}|{NAME}|{WORDS}") == {}
    evidence = world.rows(
        "select source, split_part(detail, ':', 1) as what from messaging.evidence order by id"
    )
    assert [row["what"] for row in evidence] == ["sent", "failed", "delivered"]
    [decision] = world.rows("select decision, decided_by, why from messaging.decisions")
    assert decision == {"decision": "drop", "decided_by": "op", "why": None}
    assert retention.erase(db, PHONE, by="tester").erasures == ()


def test_why_a_report_to_the_person_was_refused_goes_from_its_log(world: World, db: Database) -> None:
    """The provider's own words on it name the phone; that it failed, and when, stays."""
    world.client_numbers(1)
    number = world.value(
        "update public.whatsapp_instances set status = 'active' where agency_id is not null returning id"
    )
    world.value("select messaging.set_gaps(%s, 0, 0, 'test')", number)
    world.rows("update messaging.purposes set still_due = null where purpose = 'agency_report'")
    message = world.enqueue(
        number, purpose="agency_report", phone=PHONE, facts={"client_id": str(uuid.uuid4())}
    )
    world.record(world.begun(message), "rejected", p_detail=f"Phone number {PHONE} does not exist")
    assert "public.whatsapp_report_logs" in holding(world, PHONE)

    retention.erase(db, PHONE, by="tester")

    assert holding(world, PHONE) == {}
    assert world.rows("select message_id, status, error_message from public.whatsapp_report_logs") == [
        {"message_id": message, "status": "error", "error_message": None}
    ]
