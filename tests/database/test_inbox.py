"""The faces of the inbox and the outbox over a real database: events once, turns one at a time, in order."""

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from shared import inbox, outbox, profiles
from shared.agent import FixedAgent
from shared.db import Database
from shared.errors import InvalidInput, NotFound
from shared.settings import Settings
from shared.turns import TurnDuty

PHONE = "5511987650001"
_serial = itertools.count()


@pytest.fixture
def number(db: Database) -> uuid.UUID:
    """The first number of the pool."""
    return add_number(db)


def add_number(db: Database) -> uuid.UUID:
    """One more number of the pool."""
    name = uuid.uuid4().hex
    row = db.call_one(
        "messaging.add_instance",
        p_name=name,
        p_zapi_instance_id=name,
        p_zapi_token="token",
        p_zapi_client_token="client",
        p_by="test",
    )
    added: uuid.UUID = row["add_instance"]
    return added


def sign_up(db: Database, phone: str = PHONE) -> profiles.SignUp:
    """A person of the pool."""
    return profiles.sign_up(db, name="Ana Lima", phone=phone, email=None, enqueued_by="test")


def say(db: Database, number: uuid.UUID, text: str | None = "oi", **more: Any) -> inbox.Accepted:
    """One message of the person."""
    given: dict[str, Any] = {
        "event_key": f"event-{next(_serial)}",
        "kind": "message",
        "payload": {},
        "phone": PHONE,
        "text": text,
        "message_kind": "text",
        "debounce_s": 0.0,
    }
    return inbox.accept(db, instance_id=number, **(given | more))


def duty(db: Database) -> TurnDuty:
    """A worker's part."""
    return TurnDuty(db, Settings(reply_debounce_s=0.0), structlog.get_logger(), FixedAgent())


def answers(db: Database) -> list[dict[str, Any]]:
    """The answers that were enqueued."""
    return db.rows(
        "select content, instance_id, lane, profile_id"
        " from messaging.outbox where purpose = 'answer' order by id"
    )


def test_event_is_stored_once_however_often_it_comes(db: Database, number: uuid.UUID) -> None:
    """A repeat is told apart and changes nothing."""
    sign_up(db)
    first = say(db, number, event_key="E1")
    again = say(db, number, "another text", event_key="E1")
    assert first.is_new and first.event_id is not None
    assert not again.is_new and again.event_id is None
    assert db.rows("select text from messaging.inbound_events") == [{"text": "oi"}]


def test_the_same_key_on_two_numbers_is_two_events(db: Database, number: uuid.UUID) -> None:
    """Two of our own numbers share the id of a message between them."""
    assert say(db, number, event_key="E1").is_new and say(db, add_number(db), event_key="E1").is_new


def test_stranger_is_stored_and_gets_no_turn(db: Database, number: uuid.UUID) -> None:
    """No answer is sent to strangers."""
    assert say(db, number).ignored_reason == "user_not_found"
    assert inbox.claim_turn(db, "w") is None


def test_several_messages_are_one_turn_in_their_order_answered_once(db: Database, number: uuid.UUID) -> None:
    """Whoever writes three lines gets one answer, on the number that he wrote to last, in the reply lane."""
    signed = sign_up(db)
    last = add_number(db)
    say(db, number, "um")
    say(db, number, "dois")
    say(db, last, "três")

    turn = inbox.claim_turn(db, "w")
    assert turn is not None and [event["text"] for event in turn.events] == ["um", "dois", "três"]
    assert (turn.instance_id, turn.profile_id, turn.profile_name) == (last, signed.profile_id, "Ana Lima")
    assert inbox.claim_turn(db, "w2") is None
    done = inbox.finish_turn(db, turn, [inbox.Part("olá"), inbox.Part("tudo bem?")], by="test")
    assert done.finished and len(done.message_ids) == 2

    assert [row["content"]["text"] for row in answers(db)] == ["olá", "tudo bem?"]
    assert {(row["lane"], row["instance_id"], row["profile_id"]) for row in answers(db)} == {
        ("reply", last, signed.profile_id)
    }
    assert not duty(db).run_once("w")


def test_message_during_a_turn_makes_the_next_turn(db: Database, number: uuid.UUID) -> None:
    """What came while the answer was composed is not lost and not answered twice."""
    sign_up(db)
    say(db, number, "um")
    turn = inbox.claim_turn(db, "w")
    assert turn is not None
    say(db, number, "dois")
    assert inbox.finish_turn(db, turn, [inbox.Part("primeira")], by="test", debounce_s=0.0).finished

    following = inbox.claim_turn(db, "w")
    assert following is not None and [event["text"] for event in following.events] == ["dois"]


def test_turn_of_a_worker_that_died_is_taken_by_another_and_answered_once(
    db: Database, number: uuid.UUID
) -> None:
    """The late worker's answer is refused: the lease is lost."""
    sign_up(db)
    say(db, number)
    late = inbox.claim_turn(db, "dead", lease_s=0.0)
    assert late is not None
    assert duty(db).run_once("alive")
    done = inbox.finish_turn(db, late, [inbox.Part("tarde demais")], by="test")
    assert not done.finished and done.message_ids == []
    assert len(answers(db)) == 1


def test_many_workers_answer_each_person_once(db: Database, number: uuid.UUID) -> None:
    """8 workers over 40 people who wrote three times each: 40 answers."""
    phones = [f"5511987651{index:03d}" for index in range(40)]
    for phone in phones:
        sign_up(db, phone)
        for _ in range(3):
            say(db, number, phone=phone)

    def work(name: int) -> int:
        worker = duty(db)
        return sum(1 for _ in iter(lambda: worker.run_once(f"w{name}"), False))

    with ThreadPoolExecutor(8) as threads:
        turns = sum(threads.map(work, range(8)))
    assert turns == len(answers(db)) == 40
    assert db.rows("select person_key from messaging.turns") == []


def test_silence_is_waited_for(db: Database, number: uuid.UUID) -> None:
    """Somebody who may still be writing is not answered yet."""
    sign_up(db)
    say(db, number, debounce_s=60.0)
    assert inbox.claim_turn(db, "w") is None


def test_turn_is_logged_without_the_person(db: Database, number: uuid.UUID) -> None:
    """The log says which events were answered by which messages, and no phone, name or text."""
    sign_up(db)
    say(db, number, "segredo")
    with structlog.testing.capture_logs() as logs:
        assert duty(db).run_once("w")
    [line] = logs
    assert line["event"] == "turn.answered" and line["events"] == 1 and len(line["message_ids"]) == 1
    assert not any(private in repr(line) for private in (PHONE, "98765", "Ana", "segredo"))


def test_enqueue_answers_in_the_order_asked_and_repeats_give_the_earlier_message(
    db: Database, number: uuid.UUID
) -> None:
    """A key stands for one message; whether a repeat asks the same is said."""
    asked = [
        outbox.NewMessage(purpose="direct", phone=PHONE, dedupe_key=f"k{i}", enqueued_by="test", text=f"t{i}")
        for i in range(20)
    ]
    first = outbox.enqueue_many(db, asked)
    assert [each.dedupe_key for each in first] == [f"k{i}" for i in range(20)]
    assert all(each.created and each.instance_id == number for each in first)
    again = outbox.enqueue_many(db, list(reversed(asked)))
    assert [each.message_id for each in again] == [each.message_id for each in reversed(first)]
    assert not any(each.created for each in again) and all(each.same_request for each in again)
    other = outbox.enqueue(
        db, purpose="direct", phone=PHONE, dedupe_key="k0", enqueued_by="test", text="another"
    )
    assert (other.message_id, other.created, other.same_request) == (first[0].message_id, False, False)
    assert outbox.enqueue_many(db, []) == []


def test_one_key_twice_in_one_list_is_enqueued_once_as_first_asked(db: Database, number: uuid.UUID) -> None:
    """The second is told that the message was there, and whether it asked the same."""
    one, other = (
        outbox.NewMessage(purpose="direct", phone=PHONE, dedupe_key="k", enqueued_by="test", text=text)
        for text in ("first", "second")
    )
    first, again, second = outbox.enqueue_many(db, [one, one, other])
    assert first.message_id == again.message_id == second.message_id
    assert [each.created for each in (first, again, second)] == [True, False, False]
    assert [each.same_request for each in (first, again, second)] == [True, True, False]
    assert db.rows("select content ->> 'text' as text from messaging.outbox") == [{"text": "first"}]


def test_one_key_for_two_numbers_at_once_is_one_message(db: Database, number: uuid.UUID) -> None:
    """Requests that race with one key, each for another number, all learn which message stands."""
    numbers = [number, add_number(db)] * 8

    def ask(instance: uuid.UUID) -> outbox.Enqueued:
        return outbox.enqueue(
            db,
            purpose="direct",
            phone=PHONE,
            dedupe_key="k",
            enqueued_by="test",
            text="t",
            instance_id=instance,
        )

    with ThreadPoolExecutor(16) as threads:
        answered = list(threads.map(ask, numbers))
    assert len({each.message_id for each in answered}) == 1
    assert sum(each.created for each in answered) == 1


def test_what_the_outbox_does_not_take_is_named_and_nothing_is_enqueued(
    db: Database, number: uuid.UUID
) -> None:
    """One bad message in a list keeps all of them out."""
    good = outbox.NewMessage(purpose="direct", phone=PHONE, dedupe_key="k", enqueued_by="test", text="t")
    bad = outbox.NewMessage(purpose="nothing", phone=PHONE, dedupe_key="k2", enqueued_by="test", text="t")
    with pytest.raises(InvalidInput, match="purpose"):
        outbox.enqueue_many(db, [good, bad])
    assert db.rows("select id from messaging.outbox") == []


def test_operator_s_view_explains_and_cancels_a_message(db: Database, number: uuid.UUID) -> None:
    """Preview counts, cancel withdraws, explain tells who and why; a phone is never whole."""
    message = outbox.enqueue(
        db, purpose="direct", phone=PHONE, dedupe_key="k", enqueued_by="test", text="t", run_id="run-1"
    )
    [row] = outbox.pool_overview(db)
    assert (row.timed, row.next_send_at, row.gap_min_s) == (1, None, 25.0)
    [preview] = outbox.cancel(db, by="ana", why="wrong text", run_id="run-1")
    assert (preview.messages, preview.dispatch_state) == (1, "queued")
    assert outbox.explain(db, message.message_id)["dispatch_state"] == "queued"
    outbox.cancel(db, by="ana", why="wrong text", preview=False, run_id="run-1")
    told = outbox.explain(db, message.message_id)
    assert (told["dispatch_state"], told["because"]) == ("withdrawn", "wrong text")
    assert PHONE not in repr(told)
    assert [move.to_state for move in outbox.recent_moves(db)] == ["queued", "withdrawn"]
    with pytest.raises(NotFound):
        outbox.explain(db, 10**9)


def test_pause_and_resume_say_whether_they_changed_anything(db: Database) -> None:
    """Two operators at once are told apart."""
    assert outbox.pause_all(db, by="ana", why="check") and not outbox.pause_all(db, by="bia")
    assert outbox.resume_all(db, by="ana") and not outbox.resume_all(db, by="bia")


def test_housekeeping_of_a_healthy_pool_finds_nothing(db: Database, number: uuid.UUID) -> None:
    """Nothing to expire, to wake, to replay; nothing wrong."""
    sign_up(db)
    assert (outbox.expire_due(db), outbox.wake_forgotten(db)) == (0, 0)
    assert outbox.retry_effects(db) == [] and outbox.audit_findings(db) == []
