"""Stop, start, and a person of ours who takes over by hand."""

import datetime

import pytest

from shared import inbox
from shared.db import Database
from shared.texts_pt import conversation
from tests.database.talking import LID, PHONE, SHORT_PHONE, Talk
from tests.database.world import BentClock, World


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


def opt_outs(talk: Talk) -> list[tuple[str, bool]]:
    """Every stop with whether it is in force."""
    rows = talk.world.rows("select word, opted_in_at is null as holds from messaging.opt_outs order by id")
    return [(row["word"], row["holds"]) for row in rows]


def test_start_is_heeded_though_the_clock_was_set_back(talk: Talk, bent_clock: BentClock) -> None:
    """A server's clock that steps back between the two words loses neither."""
    talk.say("SAIR", command="stop")
    bent_clock.forward(-5)
    assert talk.say("VOLTAR", command="start").is_new
    assert opt_outs(talk) == [("SAIR", False)]


def test_stop_is_confirmed_once_and_withdraws_everything_proactive(talk: Talk) -> None:
    """Reports, content and reminders end; what was asked for by hand or is an answer goes on."""
    proactive = [talk.nudge(purpose) for purpose in ("content", "weekly_report", "session_1h", "checkin")]
    solicited = talk.nudge("direct")
    assert talk.say("SAIR", command="stop").ignored_reason is None
    assert [talk.world.state(message) for message in proactive] == ["withdrawn"] * 4
    assert {talk.world.message(message)["reason"] for message in proactive} == {"the person opted out"}
    assert talk.world.state(solicited) == "queued"
    assert talk.answer()
    assert talk.texts() == [conversation.stopped("Ana")] and opt_outs(talk) == [("SAIR", True)]

    again = talk.say("Parar!", command="stop", phone=SHORT_PHONE)
    assert again.ignored_reason == "already_opted_out"
    assert not talk.answer() and len(talk.answers()) == 1
    assert talk.history() == [("user", "SAIR"), ("user", "Parar!")]


def test_stop_said_twice_before_the_answer_is_confirmed_once(talk: Talk) -> None:
    """Impatience earns no second confirmation."""
    talk.say("SAIR", command="stop")
    assert talk.say("SAIR", command="stop").ignored_reason == "already_opted_out"
    assert talk.answer() and not talk.answer() and len(talk.answers()) == 1


def test_stop_beside_other_words_is_obeyed_and_only_confirmed(talk: Talk) -> None:
    """Whoever says stop is not talked to about something else."""
    talk.say("não aguento mais tanta mensagem")
    talk.say("sair", command="stop")
    assert talk.answer() and talk.texts() == [conversation.stopped("Ana")]


def test_start_undoes_stop_and_is_confirmed_once(talk: Talk) -> None:
    """Then proactive messages may be chosen again; a second start is a word like any other."""
    talk.say("SAIR", command="stop")
    talk.answer()
    assert talk.say("voltar", command="start").ignored_reason is None
    assert talk.answer() and talk.texts()[-1] == conversation.started("Ana")
    assert opt_outs(talk) == [("SAIR", False)]
    assert talk.say("voltar", command="start").ignored_reason is None
    assert talk.answer() and talk.texts()[-1] == conversation.fixed_answer("Ana")


def test_stop_and_start_in_one_breath_leave_the_last_word(talk: Talk) -> None:
    """The confirmation says what holds now."""
    talk.say("sair", command="stop")
    talk.say("voltar", command="start")
    assert (
        talk.answer()
        and talk.texts() == [conversation.started("Ana")]
        and opt_outs(talk) == [("sair", False)]
    )


def test_start_of_somebody_who_never_stopped_is_an_ordinary_message(talk: Talk) -> None:
    """Nothing to undo, nothing to confirm."""
    talk.say("começar", command="start")
    assert talk.answer() and talk.texts() == [conversation.fixed_answer("Ana")]


def test_opted_out_person_who_writes_is_answered(talk: Talk) -> None:
    """A stop is about what we begin."""
    talk.say("SAIR", command="stop")
    talk.answer()
    talk.say("oi")
    assert talk.answer() and talk.texts()[-1] == conversation.fixed_answer("Ana")


def test_stop_of_a_stranger_is_kept_without_an_answer(talk: Talk) -> None:
    """Strangers are not answered, but a stop is a stop, for every number of the tenant."""
    assert talk.say("SAIR", command="stop", phone="5521999990000").ignored_reason == "user_not_found"
    assert opt_outs(talk) == [("SAIR", True)] and not talk.answer()
    assert not talk.world.value("select messaging.may_choose('content', null, '5521999990000')")


def test_stop_behind_a_known_lid_is_the_persons(talk: Talk) -> None:
    """A hidden address hides nobody from their own stop."""
    talk.say(lid=LID)
    talk.say("SAIR", command="stop", phone=LID)
    assert not talk.world.value("select messaging.may_choose('content', %s, %s)", talk.profile, PHONE)


def test_hand_on_the_phone_silences_the_bot(world: World, db: Database, bent_clock: BentClock) -> None:
    """Waiting answers are withdrawn, the open turn ends unanswered, later messages are kept and not answered,
    until the time is over."""
    talk = Talk(world, db)
    parts = talk.waiting_answer("Primeiro", "Segundo")
    talk.say("alguém aí?")
    assert talk.type_by_hand(takeover_s=600).ignored_reason == "own_message"
    assert [talk.world.state(part) for part in parts] == ["withdrawn", "withdrawn"]
    assert talk.world.message(parts[0])["reason"] == "one of us answered by hand"
    assert not talk.answer()

    nudge = talk.nudge()
    assert talk.say("obrigada, Bia").ignored_reason == "human_takeover"
    assert not talk.answer() and talk.world.state(nudge) == "withdrawn"
    assert [text for _, text in talk.history()] == ["oi", "alguém aí?", "obrigada, Bia"]
    assert talk.person()["last_user_message_at"] == bent_clock.now()

    bent_clock.forward(601)
    assert talk.say("e agora?").ignored_reason is None
    assert talk.answer() and len(talk.answers()) == 3


def test_hand_during_a_composition_wins(talk: Talk) -> None:
    """The worker that composes now finds its turn gone; nothing is enqueued, the words are kept once."""
    talk.say("ajuda")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    talk.type_by_hand()
    assert not inbox.finish_turn(talk.db, turn, [inbox.Part("tarde")], by="test").finished
    assert talk.answers() == [] and talk.history() == [("user", "ajuda")]
    reasons = talk.world.rows("select ignored_reason from messaging.inbound_events order by id")
    assert [row["ignored_reason"] for row in reasons] == ["human_takeover", "own_message"]


def test_stop_is_obeyed_and_confirmed_while_one_of_us_speaks_by_hand(talk: Talk) -> None:
    """Nobody has to say it twice."""
    talk.type_by_hand()
    assert talk.say("SAIR", command="stop").ignored_reason is None
    assert talk.answer() and talk.texts() == [conversation.stopped("Ana")]


def test_echo_of_our_own_message_is_nobodys_hand(talk: Talk) -> None:
    """What bears the id of an attempt of ours was sent by us, whatever its flags say."""
    message = talk.world.enqueue(talk.number, phone=PHONE)
    talk.world.record(talk.world.begun(message), p_provider_message_id="OURS")
    talk.type_by_hand(receipt_ids=["OURS"])
    assert talk.world.value("select count(*) from messaging.takeovers") == 0


def test_hand_that_writes_to_one_person_says_nothing_of_others(talk: Talk) -> None:
    """Only this conversation is taken over, in either form of its phone."""
    other = talk.world.profile("5511987650002")
    talk.type_by_hand(phone=SHORT_PHONE)
    assert talk.say().ignored_reason == "human_takeover"
    assert talk.say(phone="5511987650002").ignored_reason is None
    assert other is not None


def test_repeated_own_message_prolongs_nothing(world: World, db: Database, bent_clock: BentClock) -> None:
    """A webhook that comes again an hour later does not silence the bot again."""
    talk = Talk(world, db)
    talk.type_by_hand(takeover_s=60, event_key="H1")
    until = world.value("select until from messaging.takeovers")
    assert until == bent_clock.now() + datetime.timedelta(seconds=60)
    bent_clock.forward(3600)
    talk.type_by_hand(takeover_s=60, event_key="H1")
    assert world.value("select until from messaging.takeovers") == until
