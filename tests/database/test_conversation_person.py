"""What a person's message does before it is answered: who it is, what is noted, what it withdraws."""

import pytest

from shared import inbox
from shared.db import Database
from tests.database.conftest import Worlds
from tests.database.talking import LID, PHONE, SHORT_PHONE, Talk
from tests.database.world import World

NUDGES = ["session_nudge", "checkin", "reactivation", "conversation_followup"]


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


def lids(talk: Talk) -> list[tuple[str, str]]:
    """What is known of LIDs."""
    rows = talk.world.rows("select lid, phone from messaging.person_lids order by lid")
    return [(row["lid"], row["phone"]) for row in rows]


def test_message_is_noted_in_the_profile_and_ends_do_not_disturb(talk: Talk) -> None:
    """When she last wrote, on which UTC date, and nobody holds back any more."""
    talk.set(do_not_disturb_until="2099-01-01")
    talk.say()
    event = talk.world.rows("select received_at from messaging.inbound_events")[0]["received_at"]
    person = talk.person()
    assert person["last_user_message_at"] == event and person["do_not_disturb_until"] is None
    assert person["last_message_date"] == talk.world.value("select (%s at time zone 'UTC')::date", event)


def test_noting_the_same_message_again_does_not_end_a_later_do_not_disturb(talk: Talk) -> None:
    """The turn tries the note again; what the person asked for meanwhile stands."""
    talk.say()
    talk.set(do_not_disturb_until="2099-01-01")
    assert inbox.claim_turn(talk.db, "w") is not None
    assert talk.person()["do_not_disturb_until"] is not None


def test_note_that_failed_is_made_when_the_turn_is_taken(talk: Talk) -> None:
    """The app's trouble at the webhook loses neither the event nor the note."""
    talk.world.rows("alter table public.profiles rename column last_message_date to gone")
    assert talk.say().is_new
    assert talk.person()["last_user_message_at"] is None
    talk.world.rows("alter table public.profiles rename column gone to last_message_date")
    assert inbox.claim_turn(talk.db, "w") is not None
    assert talk.person()["last_user_message_at"] is not None


def test_profile_locked_by_the_app_delays_no_event(talk: Talk, another: Worlds) -> None:
    """Whoever holds the profile is not waited for: the event is stored, the note comes with the turn."""
    warnings: list[object] = []
    talk.world.connection.add_notice_handler(warnings.append)
    other = another()
    other.rows("begin")
    other.rows("select from public.profiles where id = %s for update", talk.profile)
    talk.world.rows(
        "select messaging.accept_event(%s, 'E', 'message', '{}', %s, 'oi', 'text', p_debounce_s => 0)",
        talk.number,
        PHONE,
    )
    # Waiting in vain would have been told.
    assert warnings == [] and talk.person()["last_user_message_at"] is None
    other.rows("commit")
    assert inbox.claim_turn(talk.db, "w") is not None
    assert talk.person()["last_user_message_at"] is not None


def test_event_and_its_answer_survive_broken_app_tables(talk: Talk) -> None:
    """Without the app's other tables the person is answered, and what the app lacks is kept to be retried."""
    talk.world.rows("alter table public.messages rename to gone")
    talk.world.rows("alter table public.aura_response_state rename to gone_too")
    assert talk.say("guarde isto").ignored_reason is None
    assert talk.answer() and len(talk.answers()) == 1
    assert talk.world.value("select effect from messaging.failed_effects") == "effect_turn"

    talk.world.rows("alter table public.gone rename to messages")
    talk.world.rows("alter table public.gone_too rename to aura_response_state")
    assert [row["succeeded"] for row in talk.world.rows("select * from messaging.retry_effects()")] == [True]
    assert talk.history() == [("user", "guarde isto")]


def test_turn_without_an_answer_waits_for_a_broken_app(talk: Talk) -> None:
    """With no message that the effect could hang on, nothing is lost either: the turn comes again."""
    talk.set(status="canceled", trial_limit_sent_at=talk.now())
    talk.say("oi de novo")
    talk.world.rows("alter table public.messages rename to gone")
    with pytest.raises(Exception, match="42P01"):
        talk.answer()
    assert talk.world.value("select count(*) from messaging.turns") == 1
    talk.world.rows("alter table public.gone rename to messages")
    talk.world.rows("update messaging.turns set ready_at = messaging.clock()")
    assert talk.answer() and talk.history() == [("user", "oi de novo")] and talk.answers() == []


def test_stored_phone_is_corrected_to_the_form_that_the_provider_knows(talk: Talk) -> None:
    """12 and 13 digits are one person; the real form is kept (functions 2.2, step 6)."""
    assert talk.say(phone=SHORT_PHONE).ignored_reason is None
    assert talk.person()["phone"] == SHORT_PHONE


def test_phone_that_another_profile_holds_is_left_and_the_note_stands(world: World, db: Database) -> None:
    """An adopted table may hold both forms as two people: nobody loses a phone, the event is stored."""
    world.rows("drop index if exists public.profiles_phone_canonical")
    talk = Talk(world, db)
    world.rows("update public.profiles set status = 'active' where id = %s", talk.profile)
    twin = world.profile(SHORT_PHONE)
    world.rows("update public.profiles set status = 'canceled' where id = %s", twin)
    assert talk.say(phone=SHORT_PHONE).ignored_reason is None
    assert talk.person()["phone"] == PHONE and talk.person()["last_user_message_at"] is not None


def test_message_from_behind_a_known_lid_is_the_persons(talk: Talk) -> None:
    """Learned from an event that carries both; the answer goes to the phone."""
    talk.say("um", lid=LID)
    assert talk.say("dois", phone=LID).ignored_reason is None
    assert talk.answer()
    assert lids(talk) == [(LID, PHONE)]
    assert [row["phone"] for row in talk.answers()] == [PHONE]
    assert talk.history() == [("user", "um"), ("user", "dois")]


def test_message_from_behind_an_unknown_lid_is_a_strangers(world: World, db: Database) -> None:
    """The digits of a LID are no phone, even where somebody has just that phone."""
    talk = Talk(world, db, phone="100000000000001")
    assert talk.say(phone=LID).ignored_reason == "user_not_found"
    assert not talk.answer() and talk.person()["last_user_message_at"] is None


def test_lid_is_learned_from_ignored_events_and_follows_its_person_to_a_new_phone(talk: Talk) -> None:
    """Edits and our own messages carry both too; a later pair wins."""
    talk.say(ignored_reason="edited_message", lid=LID)
    assert lids(talk) == [(LID, PHONE)]
    talk.say(phone="5521999990000", lid=LID)
    assert lids(talk) == [(LID, "5521999990000")]


def test_lid_of_one_tenant_says_nothing_to_another(talk: Talk) -> None:
    """Agencies share no address book."""
    theirs = talk.world.number()
    talk.world.rows(
        "update public.whatsapp_instances set agency_id = gen_random_uuid(), in_pool = false where id = %s",
        theirs,
    )
    talk.say(lid=LID, instance_id=theirs)
    assert talk.say(phone=LID).ignored_reason == "user_not_found"


@pytest.mark.parametrize("purpose", NUDGES)
def test_message_withdraws_what_only_asked_for_one(talk: Talk, purpose: str) -> None:
    """Who has just written needs no nudge."""
    talk.world.rows("update messaging.purposes set still_due = null")
    nudge = talk.nudge(purpose)
    talk.say()
    assert talk.world.state(nudge) == "withdrawn"
    assert talk.world.message(nudge)["reason"] == "the person wrote"


def test_message_withdraws_nothing_else(talk: Talk) -> None:
    """Content, reminders, answers to others and other people's nudges stay."""
    kept = [talk.nudge(purpose) for purpose in ("content", "session_1h", "direct")]
    kept.append(talk.world.enqueue(talk.number, purpose="checkin", phone="5511987650099"))
    talk.say()
    assert [talk.world.state(message) for message in kept] == ["queued"] * 4


@pytest.mark.parametrize("kind", ["image", "video", "document", "sticker", "location", "contact"])
def test_picture_without_words_is_a_sign_of_the_person(talk: Talk, kind: str) -> None:
    """No answer, but she has written: noted, do-not-disturb over, nudges withdrawn."""
    talk.set(do_not_disturb_until="2099-01-01")
    nudge = talk.nudge()
    told = talk.say(None, message_kind=kind, ignored_reason="missing_data")
    assert told.ignored_reason == "missing_data" and not talk.answer()
    assert talk.world.state(nudge) == "withdrawn"
    assert talk.person()["last_user_message_at"] is not None
    assert talk.person()["do_not_disturb_until"] is None
    event = talk.world.rows("select profile_id, ignored_reason from messaging.inbound_events")[0]
    assert event == {"profile_id": talk.profile, "ignored_reason": "missing_data"}


def test_picture_without_words_leaves_an_answer_to_be_said_to_its_end(talk: Talk) -> None:
    """It gets no answer of its own that could take up the rest."""
    parts = talk.waiting_answer("um", "dois")
    talk.say(None, message_kind="image", ignored_reason="missing_data")
    assert [talk.world.state(part) for part in parts] == ["queued", "queued"]


@pytest.mark.parametrize("kind", ["reaction", "unsupported", "poll"])
def test_what_nobody_wrote_or_showed_is_no_sign_of_the_person(talk: Talk, kind: str) -> None:
    """A heart under our own message is no message."""
    nudge = talk.nudge()
    talk.say(None, message_kind=kind, ignored_reason="missing_data")
    assert talk.world.state(nudge) == "queued" and talk.person()["last_user_message_at"] is None


def test_profiles_that_cannot_be_read_lose_no_event(talk: Talk) -> None:
    """Stored with the original's reason; a stop is obeyed all the same."""
    talk.world.rows("alter table public.profiles rename to gone")
    assert talk.say("oi").ignored_reason == "profile_lookup_error"
    assert talk.say("SAIR", command="stop").ignored_reason == "profile_lookup_error"
    talk.world.rows("alter table public.gone rename to profiles")
    kept = talk.world.rows("select text, ignored_reason from messaging.inbound_events order by id")
    assert [(row["text"], row["ignored_reason"]) for row in kept] == [
        ("oi", "profile_lookup_error"),
        ("SAIR", "profile_lookup_error"),
    ]
    assert talk.world.value("select count(*) from messaging.opt_outs") == 1


def test_repeated_event_withdraws_and_notes_nothing(talk: Talk) -> None:
    """A repeat changes nothing at all."""
    talk.say(event_key="E1")
    talk.set(do_not_disturb_until="2099-01-01")
    nudge = talk.nudge()
    assert not talk.say(event_key="E1", lid=LID, command="stop").is_new
    assert talk.world.state(nudge) == "queued" and lids(talk) == []
    assert talk.person()["do_not_disturb_until"] is not None
    assert talk.world.value("select count(*) from messaging.opt_outs") == 0


def test_message_interrupts_the_rest_of_an_answer_and_the_next_one_takes_it_up(talk: Talk) -> None:
    """The first part goes out; what was left unsaid is kept, with what it answered."""
    first, *rest = talk.waiting_answer("Primeiro", "Segundo", "Terceiro")
    talk.say("espera")
    assert talk.world.state(first) == "queued"
    assert [talk.world.state(part) for part in rest] == ["withdrawn", "withdrawn"]
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    assert (turn.facts["pending_content"], turn.facts["pending_context"]) == ("Segundo\n\nTerceiro", "oi")
    inbox.finish_turn(talk.db, turn, [], by="test", result={"said": turn.facts["pending_content"]})
    assert talk.world.value("select pending_content from public.aura_response_state") is None


def test_answer_that_was_overtaken_while_composed_says_its_first_part_only(talk: Talk) -> None:
    """Somebody who wrote again meanwhile is not talked down."""
    talk.say("um")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None
    talk.say("dois")
    inbox.finish_turn(talk.db, turn, [inbox.Part("A"), inbox.Part("B")], by="test", debounce_s=0)
    assert talk.texts() == ["A"]
    following = inbox.claim_turn(talk.db, "w")
    assert following is not None
    assert (following.facts["pending_content"], following.facts["pending_context"]) == ("B", "um")


def test_messages_that_overtook_each_other_are_answered_in_the_order_of_writing(talk: Talk) -> None:
    """The provider's own time tells; the answer leaves from the number that was written to last."""
    other = talk.world.number()
    later = talk.say("dois", happened_at="2026-01-01T10:00:05Z", instance_id=other)
    talk.say("um", happened_at="2026-01-01T10:00:00Z")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None and [event["text"] for event in turn.events] == ["um", "dois"]
    assert (turn.instance_id, turn.last_event_id) == (other, later.event_id)
