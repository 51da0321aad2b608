"""webhook-zapi over HTTP, the conversation: LIDs, stop and start, a hand on the phone, edits."""

from typing import Any

import httpx
import pytest
import structlog

from shared.agent import FixedAgent
from shared.db import Database
from shared.settings import Settings
from shared.texts_pt import conversation
from shared.turns import TurnDuty
from tests.edge.conftest import Logs
from tests.edge.gateway import PERSON, SETTINGS, Number, add_number, message, serving, sign_up, stored

LID = "100000000000001@lid"


def post(client: httpx.Client, number: Number, payload: dict[str, Any]) -> dict[str, Any]:
    """The body of the answer to an event on the number's own path."""
    answer = client.post(number.webhook, json=payload)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def turn(db: Database) -> bool:
    """One look of a worker for people who wait."""
    return TurnDuty(db, SETTINGS, structlog.get_logger(), FixedAgent()).run_once("worker-1")


def answers(db: Database) -> list[dict[str, Any]]:
    """What was enqueued as an answer."""
    return db.rows(
        "select phone, content ->> 'text' as text from messaging.outbox where purpose = 'answer' order by id"
    )


def takeovers(db: Database) -> int:
    """How many conversations one of us leads by hand."""
    return len(db.rows("select until from messaging.takeovers"))


def ignored(reason: str) -> dict[str, str]:
    """The answer to what asks for nothing."""
    return {"status": "ignored", "reason": reason}


def test_lid_is_learned_and_then_stands_for_the_phone(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """An event with both teaches; later ones may hide the phone, and the answer still goes to it."""
    sign_up(client)
    assert post(client, number, message(number, phone=LID)) == ignored("user_not_found")
    assert post(client, number, message(number, "um", chatLid=LID))["status"] == "accepted"
    assert post(client, number, message(number, "dois", phone=LID))["status"] == "accepted"
    assert turn(db) and [row["phone"] for row in answers(db)] == [PERSON]


@pytest.mark.parametrize(
    "changes",
    [
        {"isGroup": True, "participantPhone": PERSON},
        {"isNewsletter": True},
        {"broadcast": True},
        {"fromMe": True, "chatLid": None, "senderLid": LID},
        {"phone": "5511987000001"},
        {"chatLid": "nonsense"},
        {"chatLid": f"{LID} "},
        {"participantPhone": "5521999990000"},
    ],
    ids=str,
)
def test_nothing_is_learned_from_a_chat_that_is_not_between_two(
    client: httpx.Client, db: Database, number: Number, changes: dict[str, Any]
) -> None:
    """A wrong pair would answer one person with another's words."""
    sign_up(client)
    post(client, number, message(number, **({"chatLid": LID} | changes)))
    assert db.rows("select lid from messaging.person_lids") == []


def test_stop_and_start_over_http(client: httpx.Client, db: Database, number: Number) -> None:
    """Accepted and confirmed once; said again, ignored with the reason; undone by a start word."""
    sign_up(client)
    assert post(client, number, message(number, "SAIR"))["status"] == "accepted"
    assert turn(db)
    assert post(client, number, message(number, "parar")) == ignored("already_opted_out")
    assert not turn(db)
    assert post(client, number, message(number, "Voltar"))["status"] == "accepted"
    assert turn(db)
    assert [row["text"] for row in answers(db)] == [
        conversation.stopped("Ana Lima"),
        conversation.started("Ana Lima"),
    ]


def test_stop_on_one_number_holds_on_every_number_of_the_house(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Nobody says it to each of them."""
    sign_up(client)
    second = add_number(db, phone="5511987000002")
    post(client, number, message(number, "SAIR"))
    assert post(client, second, message(second, "SAIR")) == ignored("already_opted_out")


def test_hand_on_the_phone_silences_the_bot(client: httpx.Client, db: Database, number: Number) -> None:
    """fromMe and not fromApi: one of us typed it (zapi contract 5.2)."""
    sign_up(client)
    post(client, number, message(number, "alguém?"))
    assert post(client, number, message(number, "Oi, sou a Bia", fromMe=True)) == ignored("own_message")
    assert not turn(db)
    assert post(client, number, message(number, "oi Bia")) == ignored("human_takeover")
    assert answers(db) == []
    said = db.rows("select content from public.messages order by created_at")
    assert [row["content"] for row in said] == ["alguém?", "oi Bia"]


@pytest.mark.parametrize(
    "changes",
    [
        {"fromApi": True},
        {"isGroup": True},
        {"isNewsletter": True},
        {"broadcast": True},
        {"isStatusReply": True},
        {"isEdit": True},
        {"waitingMessage": True},
        {"text": None, "reaction": {"value": "❤️"}},
        {"text": None, "notification": "CALL_MISSED"},
    ],
    ids=str,
)
def test_what_nobody_typed_to_the_person_takes_nothing_over(
    client: httpx.Client, db: Database, number: Number, changes: dict[str, Any]
) -> None:
    """The echo of our own sends, groups, broadcasts, edits, reactions and notices."""
    sign_up(client)
    post(client, number, message(number, fromMe=True, **changes))
    assert takeovers(db) == 0
    assert post(client, number, message(number))["status"] == "accepted"


def test_takeover_can_be_switched_off(db: Database, number: Number) -> None:
    """ROLETA_TAKEOVER_S=0: the bot answers beside the hand."""
    settings = Settings(service_role_key=SETTINGS.service_role_key, reply_debounce_s=0, takeover_s=0)
    with serving(db, settings) as client:
        sign_up(client)
        post(client, number, message(number, fromMe=True))
        assert post(client, number, message(number))["status"] == "accepted"
    assert takeovers(db) == 0


def test_hand_that_writes_to_a_lid_is_the_persons_too(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Once the LID is known."""
    sign_up(client)
    post(client, number, message(number, chatLid=LID))
    post(client, number, message(number, phone=LID, chatLid=LID, fromMe=True))
    assert post(client, number, message(number)) == ignored("human_takeover")


def test_edit_is_stored_and_not_answered_again(client: httpx.Client, db: Database, number: Number) -> None:
    """The message was answered, or is about to be, as it first stood."""
    sign_up(client)
    first = message(number, "oi")
    post(client, number, first)
    assert turn(db)
    edited = first | {"isEdit": True, "text": {"message": "olá"}, "momment": first["momment"] + 1}
    assert post(client, number, edited) == ignored("edited_message")
    assert post(client, number, edited) == ignored("duplicate")
    assert not turn(db) and len(answers(db)) == 1
    kept = db.rows("select text from messaging.inbound_events order by id")
    assert [row["text"] for row in kept] == ["oi", "olá"]


def test_message_that_could_not_be_decrypted_at_first_is_answered_when_it_can(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """One id comes twice: first without content, then with it."""
    sign_up(client)
    readable = message(number, "oi")
    waiting = {**readable, "waitingMessage": True, "text": None}
    assert post(client, number, waiting) == ignored("status_only_event")
    assert post(client, number, readable)["status"] == "accepted"
    assert turn(db) and not turn(db)


def test_conversation_says_nothing_of_the_person_in_the_log(
    client: httpx.Client, db: Database, number: Number, logs: Logs
) -> None:
    """Neither phone nor LID nor words, whatever happens to the message."""
    sign_up(client)
    for payload in (
        message(number, "segredo", chatLid=LID),
        message(number, "SAIR"),
        message(number, "segredo", fromMe=True),
        message(number, "segredo", phone=LID),
    ):
        post(client, number, payload)
    turn(db)
    assert not any(
        private in logs.text for private in (PERSON, "segredo", LID, LID.split("@", maxsplit=1)[0])
    )
    assert stored(db)["events"] == 4
