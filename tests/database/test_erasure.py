"""A person is erased: nothing of phone, name or words is found in any table, but a stop that is in force."""

import json
import uuid

import pytest

from shared import retention
from shared.db import Database
from shared.errors import Conflict, InvalidInput
from tests.database.keeping import (
    LID,
    NAME,
    OTHER_FORM,
    PHONE,
    STATES,
    WORDS,
    Person,
    event,
    holding,
    messages,
    somebody,
)
from tests.database.talking import Talk
from tests.database.uncertain import attempt_of, outgoing, uncertain
from tests.database.world import Connect, Row, World

EVERYTHING = f"{PHONE}|{OTHER_FORM}|{OTHER_FORM[2:]}|{LID.partition('@')[0]}|{NAME}|quimera|{WORDS}"


@pytest.fixture
def world(connect: Connect) -> World:
    """A session whose statements are committed, for the pool beside it."""
    return World(connect())


def counts(world: World) -> dict[str, object]:
    """What reports count: messages by kind and number, attempts, events, history, people."""
    return {
        name: world.rows(f"select {what}, count(*) from {table} group by 1 order by 1")
        for name, what, table in (
            ("messages", "concat(purpose, instance_id, created_at)", "messaging.outbox"),
            ("attempts", "concat(message_id, outcome, provider_message_id)", "messaging.attempts"),
            ("events", "concat(instance_id, event_key, kind, received_at)", "messaging.inbound_events"),
            ("said", "role", "public.messages"),
            ("people", "user_id", "public.profiles"),
        )
    }


def everywhere(world: World) -> tuple[Person, dict[str, int]]:
    """The person in every table that may hold one, waiting and done, and another who must stay as he is."""
    person = somebody(world)
    event(world, person, "E1")
    event(world, person, "E2", p_phone=LID, p_lid=None, p_payload=json.dumps({"chatLid": LID}))
    event(
        world, person, "E3", p_phone="120363-group", p_lid=None, p_ignored_reason="group_message",
        p_payload=json.dumps({"phone": "120363-group", "participantPhone": OTHER_FORM, "text": WORDS}),
    )  # fmt: skip
    # Her turn was taken, and its answer waits.
    world.rows("select * from messaging.claim_turn('w', 600)")
    made = messages(world, person)
    agency = uuid.uuid4()
    world.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", agency)
    client = world.value(
        "insert into public.client_manager_links (manager_id) values (%s) returning client_user_id", agency
    )
    world.rows(
        "insert into public.whatsapp_report_settings (agency_id, client_id, phone_number, is_active)"
        " values (%s, %s, %s, true)",
        agency, client, PHONE,
    )  # fmt: skip
    world.rows(
        "insert into public.account_balance_alerts (agency_id, client_id, ad_account_id, recipient_phone)"
        " values (%s, %s, 'act_1', %s)",
        agency, client, OTHER_FORM,
    )  # fmt: skip
    world.value("select messaging.take_over(null, messaging.phone_key(%s), 600)", PHONE)
    world.rows(
        "insert into messaging.opt_outs (phone_key, word, opted_out_at, opted_in_at)"
        " values (messaging.phone_key(%s), %s, now(), now())",
        PHONE, WORDS,
    )  # fmt: skip
    return person, made


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


# A phone that the person had before PHONE, and somebody else.
EARLIER, EARLIER_KEY = "5521998761234", "552198761234"
OTHER = "5531987659876"


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


def report(world: World, phone: str) -> None:
    """An agency's client whose weekly report goes to this phone."""
    agency = uuid.uuid4()
    world.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", agency)
    world.rows(
        "insert into public.whatsapp_report_settings (agency_id, client_id, phone_number, is_active)"
        " select manager_id, client_user_id, %s, true from public.client_manager_links where manager_id = %s",
        phone, world.value(
            "insert into public.client_manager_links (manager_id) values (%s) returning manager_id", agency
        ),
    )  # fmt: skip


def in_flight(world: World, person: Person) -> int:
    """The attempt at a message to the person whose text goes into the app's history when it is accepted."""
    message = world.enqueue(
        person.number, purpose="welcome", phone=PHONE, profile_id=str(person.profile_id),
        content={"kind": "text", "text": WORDS},
    )  # fmt: skip
    return world.begun(message)


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


def mention(world: World, person: Person, payload: object, text: str, **arguments: object) -> Row:
    """The event of somebody else in which the person is mentioned, as it is after the erasure, without the
    erasure's id."""
    given = {"p_phone": OTHER, "p_lid": None, "p_media_url": None} | arguments
    event_id = event(world, person, "M1", p_payload=json.dumps(payload), p_text=text, **given)
    columns = (
        "select payload, text, processed_at, person_key, phone from messaging.inbound_events where id = %s"
    )
    [before] = world.rows(columns, event_id)
    world.rows("select * from messaging.erase_messages(%s, 'tester')", PHONE)
    [after] = world.rows(columns, event_id)
    assert {**after, "payload": 0, "text": 0} == {**before, "payload": 0, "text": 0}
    return {
        "payload": json.loads(json.dumps(after["payload"]).replace("erased:1", "X")),
        "text": after["text"],
    }


def test_a_message_that_mentions_an_erased_person_is_still_answered(world: World, db: Database) -> None:
    """It is somebody else's: it loses the digits, and nothing else, and its turn comes."""
    talk = Talk(world, db)
    talk.set(phone=OTHER)
    said = f"liga para a Bruna no {PHONE}, quero cancelar"
    talk.say(said, phone=OTHER, payload={"phone": OTHER, "text": {"message": said}})
    somebody(world)
    assert retention.erase_preview(db, PHONE)["mentions"] == 1

    done = retention.erase(db, PHONE, by="tester")

    assert (done.rows["events"], done.rows["mentions"], holding(world, PHONE)) == (0, 1, {})
    [kept] = world.rows("select text, payload, processed_at from messaging.inbound_events")
    assert kept["text"] == kept["payload"]["text"]["message"] == said.replace(PHONE, "erased:1")
    assert kept["processed_at"] is None
    assert talk.answer() and len(talk.answers()) == 1
    assert retention.erase(db, PHONE, by="tester").erasures == ()


def test_of_a_mention_the_digits_go_in_every_form_that_json_has(world: World) -> None:
    """In texts, keys and numbers, by both forms of the phone and the LID; what is left is the same JSON, and
    longer numbers that happen to hold the digits are not touched."""
    person = somebody(world)
    event(world, person, "E1")
    lid = LID.partition("@")[0]
    payload = {
        "phone": OTHER, "momment": 1764400000123, "none": None, "yes": True,
        "card": [{"waId": int(PHONE)}, float(OTHER_FORM), [], {}, f"+{PHONE}\n00{OTHER_FORM}"],
        f"{LID}": {PHONE: f'"{lid}"'}, "longer": [f"9{PHONE}", int(f"{PHONE}9")],
    }  # fmt: skip
    after = mention(world, person, payload, f"é {PHONE} ou {OTHER_FORM}?")
    assert after["payload"] == {
        "phone": OTHER, "momment": 1764400000123, "none": None, "yes": True,
        "card": [{"waId": "X"}, "X", [], {}, "+X\nX"],
        "X@lid": {"X": '"X"'}, "longer": [f"9{PHONE}", int(f"{PHONE}9")],
    }  # fmt: skip
    assert after["text"] == "é erased:1 ou erased:1?"


@pytest.mark.parametrize(
    "written_by", [{"participantPhone": OTHER}, {"data": {"key": {"participant": OTHER}}}]
)
def test_what_somebody_else_says_of_the_person_in_a_group_stays(world: World, written_by: Row) -> None:
    """A group's message is that of its writer, as either provider names one."""
    person = somebody(world)
    group = {"p_phone": "120363-group", "p_ignored_reason": "group_message"}
    after = mention(world, person, written_by | {"text": f"chama {PHONE}"}, f"chama {PHONE}", **group)
    assert after == {"payload": written_by | {"text": "chama X"}, "text": "chama erased:1"}


@pytest.mark.parametrize(
    "said",
    [{"participantPhone": OTHER_FORM}, {"data": {"key": {"participant": f"{PHONE}@c.us"}}}, {"of": PHONE}],
)
@pytest.mark.parametrize("phone", ["120363-group", None])
def test_what_the_person_says_in_a_group_or_nobody_else_says_goes(
    world: World, db: Database, said: Row, phone: str | None
) -> None:
    """Where the writer is the person, or nobody can tell who it is, the words are erased with the digits."""
    person = somebody(world)
    event(
        world, person, "G1", p_phone=phone, p_lid=None, p_ignored_reason="group_message",
        p_payload=json.dumps(said | {"text": WORDS}),
    )  # fmt: skip
    retention.erase(db, PHONE, by="tester")
    assert holding(world, EVERYTHING) == {}


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
