"""Conversations under fire: many messages, orders and hands at once, and workers that lose their leases."""

import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from shared import inbox
from shared.db import Database
from shared.errors import RoletaError
from tests.database.talking import LID, PHONE, SHORT_PHONE, Talk
from tests.database.world import Connect, World


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


def test_every_message_of_a_storm_is_answered_once_and_stands_once_in_the_history(talk: Talk) -> None:
    """Two forms of one phone, a LID, repeats, eight senders and four workers at once: no word lost or
    doubled, every event in exactly one turn."""
    talk.say("antes", lid=LID)
    forms = itertools.cycle([PHONE, SHORT_PHONE, LID])
    events = [(f"S{index}", next(forms)) for index in range(60)] * 2
    random.Random(7).shuffle(events)

    def say(event: tuple[str, str]) -> bool:
        key, phone = event
        return talk.say(key, event_key=key, phone=phone, lid=LID if phone != LID else None).is_new

    def work(_: int) -> int:
        return sum(1 for _ in iter(talk.answer, False))

    with ThreadPoolExecutor(12) as threads:
        working = threads.map(work, range(4))
        told = list(threads.map(say, events))
        list(working)
    while talk.answer():
        pass
    assert sum(told) == 60
    said = [text for role, text in talk.history() if role == "user"]
    assert sorted(said) == sorted(["antes", *(f"S{index}" for index in range(60))])
    assert talk.world.value("select count(*) from messaging.turns") == 0
    # Each answer names the events of its turn: together they are all of them, none twice.
    named = [event for row in talk.answers() for event in row["facts"]["turn"]["events"]]
    assert len(named) == len(set(named)) == 61


def test_stops_at_once_are_one_stop_with_one_confirmation(talk: Talk) -> None:
    """Sixteen impatient taps."""
    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(lambda _: talk.say("SAIR", command="stop").ignored_reason, range(16)))
    assert told.count(None) == 1 and told.count("already_opted_out") == 15
    assert talk.answer() and not talk.answer() and len(talk.answers()) == 1


def test_hand_against_answer_leaves_no_answer_behind(talk: Talk) -> None:
    """Whichever comes first: after one of us wrote, nothing of the bot's waits to be sent."""
    for _ in range(25):
        talk.world.rows("delete from messaging.takeovers")
        talk.say("oi")
        turn = inbox.claim_turn(talk.db, "w")
        assert turn is not None
        parts = [inbox.Part("um"), inbox.Part("dois")]
        with ThreadPoolExecutor(2) as threads:
            finished = threads.submit(inbox.finish_turn, talk.db, turn, parts, by="test")
            threads.submit(talk.type_by_hand).result()
            finished.result()
        assert {row["dispatch_state"] for row in talk.answers()} <= {"withdrawn"}
        assert not talk.answer()
    assert [text for _, text in talk.history()] == ["oi"] * 25


def test_lost_lease_changes_nothing_in_the_app(talk: Talk) -> None:
    """The late worker's rating, count and words are refused with its answer."""
    talk.set(status="trial")
    talk.say("4")
    late = inbox.claim_turn(talk.db, "dead", lease_s=0)
    assert late is not None and talk.answer()
    before = talk.history(), talk.person()
    result = {"counts": True, "conversation": "open", "do_not_disturb_h": 5}
    assert not inbox.finish_turn(talk.db, late, [inbox.Part("tarde")], by="t", result=result).finished
    assert (talk.history(), talk.person()) == before


@pytest.mark.parametrize(
    "bubbles",
    ["[]", '[{"text": ""}]', '[{"text": " \\n "}]', '[{"text": null}]', "[{}]", "[null]", "[1]", '["x"]'],
)
def test_answer_without_words_ends_the_turn_without_a_message(talk: Talk, bubbles: str) -> None:
    """A turn that nobody can finish would come again for ever."""
    talk.say("oi")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    row = talk.world.rows(
        "select * from messaging.finish_turn(%s, %s, %s, %s, '{}', 'w')",
        turn.person_key,
        turn.lease_token,
        turn.last_event_id,
        bubbles,
    )[0]
    assert row["finished"] and talk.answers() == [] and not talk.answer()
    assert talk.history() == [("user", "oi")]


@pytest.mark.parametrize(
    "result",
    [
        {"rating": {"session_id": "no uuid", "rating": 3}},
        {"rating": {"session_id": "00000000-0000-4000-8000-000000000000", "rating": 99}},
        {"confirmed_session_id": "no uuid"},
        {"do_not_disturb_h": "many"},
        {"counts": "perhaps"},
        {"begun_session_id": "no uuid"},
        {"journeys_paused": "perhaps"},
        {"command": ["stop"]},
        {"transcripts": {"x": 1}, "conversation": 7, "unknown": []},
    ],
)
def test_result_of_any_form_does_not_keep_the_answer_back(talk: Talk, result: dict[str, object]) -> None:
    """What cannot be applied is kept as a failed effect, or says nothing; the person is answered."""
    talk.say("oi")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    assert inbox.finish_turn(talk.db, turn, [inbox.Part("ok")], by="t", result=result).finished
    assert talk.texts() == ["ok"] and not talk.answer()


def test_rating_of_somebody_elses_session_is_refused(talk: Talk) -> None:
    """Whatever a result names, only the person's own rows are written."""
    theirs = talk.session("completed", "-2 h")
    confirmed = talk.session("scheduled", "2 h")
    begun = talk.session("scheduled", "1 min")
    talk.world.rows("update public.sessions set user_id = gen_random_uuid()")
    talk.say("5")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    result = {
        "rating": {"session_id": str(theirs), "rating": 5},
        "confirmed_session_id": str(confirmed),
        "begun_session_id": str(begun),
    }
    inbox.finish_turn(talk.db, turn, [inbox.Part("ok")], by="t", result=result)
    assert talk.world.value("select count(*) from public.session_ratings") == 0
    assert talk.world.value("select user_confirmed from public.sessions where id = %s", confirmed) is None
    assert talk.world.value("select status from public.sessions where id = %s", begun) == "scheduled"
    assert talk.person()["current_session_id"] is None


def test_deleted_profile_does_not_poison_its_turn(talk: Talk) -> None:
    """Who leaves between the message and the answer holds up nobody."""
    talk.say("oi")
    talk.world.rows("delete from public.profiles where id = %s", talk.profile)
    assert talk.answer() and not talk.answer()


def test_conversations_never_deadlock(world: World, connect: Connect, db: Database) -> None:
    """Messages, orders, hands, answers, sends and the app's own writes on two people and two numbers, from
    eight sessions: no deadlock, nobody waits for ever."""
    talk = Talk(world, db)
    other = world.number(gap=(0, 0))
    second = world.profile("5511987650002", other)
    worlds = [World(connect()) for _ in range(8)]

    def send(mine: World) -> None:
        for claimed in mine.claim(2):
            if attempt := mine.begin(claimed)["attempt_id"]:
                mine.record(attempt)

    def obey(command: str) -> None:
        if turn := inbox.claim_turn(db, "w"):
            inbox.finish_turn(db, turn, [inbox.Part("ok")], by="t", result={"command": command})

    def act(index: int) -> list[str]:
        source, mine, wrong = random.Random(index), worlds[index], []
        mine.rows("set deadlock_timeout = '20ms'")
        for _ in range(60):
            phone = source.choice([PHONE, "5511987650002"])
            profile, lid = talk.profile if phone == PHONE else second, f"{phone[-9:]}@lid"
            number = source.choice([talk.number, other])
            actions: list[Callable[[], object]] = [
                partial(talk.say, phone=phone, lid=lid),
                partial(talk.say, phone=phone, command=source.choice(["stop", "start"])),
                partial(talk.type_by_hand, 0.001, phone=phone),
                partial(talk.say, phone=lid, instance_id=other),
                partial(talk.say, None, phone=phone, message_kind="image", ignored_reason="missing_data"),
                partial(obey, source.choice(["stop", "start"])),
                talk.answer,
                partial(mine.enqueue, number, purpose="checkin", phone=phone, profile_id=str(profile)),
                partial(send, mine),
                partial(mine.rows, "update public.profiles set name = 'Ana' where id = %s", profile),
            ]
            try:
                source.choice(actions)()
            except (psycopg.Error, RoletaError) as error:
                wrong.append(repr(error))
        return wrong

    with ThreadPoolExecutor(8) as threads:
        wrong = list(itertools.chain.from_iterable(threads.map(act, range(8))))
    assert wrong == []
    world.rows("select pg_stat_force_next_flush()")
    assert world.value("select deadlocks from pg_stat_database where datname = current_database()") == 0


def test_message_against_the_end_of_a_turn_is_neither_lost_nor_talked_down(talk: Talk) -> None:
    """Whichever comes first: the message has its own turn, and of the answer before it only the first part
    still waits to be sent."""
    for _ in range(25):
        talk.say("um")
        turn = inbox.claim_turn(talk.db, "w")
        assert turn is not None
        parts = [inbox.Part("A"), inbox.Part("B")]
        with ThreadPoolExecutor(2) as threads:
            finished = threads.submit(inbox.finish_turn, talk.db, turn, parts, by="t", debounce_s=0)
            assert threads.submit(talk.say, "dois").result().ignored_reason is None
            assert finished.result().finished
        waiting = [row["facts"]["text"] for row in talk.answers() if row["dispatch_state"] == "queued"]
        assert waiting == ["A"]
        following = inbox.claim_turn(talk.db, "w")
        assert following is not None and [event["text"] for event in following.events] == ["dois"]
        assert following.facts["pending_content"] == "B"
        inbox.finish_turn(talk.db, following, [], by="t", result={"said": "B"})
        talk.world.rows(
            "select messaging.withdraw_messages(array_agg(id), 'test', 'next round') from messaging.outbox"
        )
