"""start-trial over HTTP: who becomes a profile, with which seat, and what is enqueued."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shared.db import Database
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, PERSON, Number, add_number, sign_up, stored

GOOD: dict[str, object] = {"name": "Ana Lima", "phone": PERSON, "email": "ana@example.com"}


def test_new_person_gets_a_profile_a_seat_and_one_welcome(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """A sign-up answers as the original did and enqueues the welcome on the person's own number."""
    answer = sign_up(client, phone="(11) 98765-0001")

    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True and body["message"] and "warning" not in body
    [profile] = db.rows("select id, phone, name, email, status, whatsapp_instance_id from public.profiles")
    assert str(profile["id"]) == body["profileId"]
    assert (profile["phone"], profile["name"], profile["status"]) == (PERSON, "Ana Lima", "trial")
    assert profile["whatsapp_instance_id"] == number.instance_id
    [welcome] = db.rows("select purpose, phone, content, instance_id, enqueued_by from messaging.outbox")
    assert (welcome["purpose"], welcome["phone"]) == ("welcome", PERSON)
    assert welcome["instance_id"] == number.instance_id
    assert welcome["enqueued_by"] == "start-trial"
    assert "Ana" in welcome["content"]["text"]


@pytest.mark.parametrize("again", ["11987650001", "1187650001", "551187650001", "+55 (11) 98765-0001"])
def test_known_phone_in_any_form_is_told_so_and_nothing_is_stored(
    client: httpx.Client, db: Database, number: Number, again: str
) -> None:
    """With or without country code and ninth digit, one phone is one person."""
    sign_up(client)
    before = stored(db)

    answer = sign_up(client, phone=again)

    assert answer.status_code == 200
    assert answer.json()["alreadyExists"] is True and answer.json()["message"]
    assert stored(db) == before


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("+351 912 345 678", "351912345678"),
        ("00351912345678", "351912345678"),
        ("351912345678", "351912345678"),
        ("5511987650001", PERSON),
    ],
)
def test_bug_18_foreign_numbers_and_country_codes_are_accepted(
    client: httpx.Client, db: Database, number: Number, typed: str, kept: str
) -> None:
    """The original took ten or eleven Brazilian digits only (functions 2.11)."""
    assert sign_up(client, phone=typed).json()["success"] is True
    assert [row["phone"] for row in db.rows("select phone from public.profiles")] == [kept]


@pytest.mark.scoreboard("R8", tier="commit")
def test_without_room_the_profile_stands_and_the_answer_and_the_log_say_so(
    client: httpx.Client, db: Database, logs: Logs
) -> None:
    """All numbers full: nobody is turned away, the default number speaks, loudly."""
    full = add_number(db, seats=0)

    answer = sign_up(client)

    assert answer.json()["success"] is True and answer.json()["warning"] == "no_room"
    assert db.rows("select whatsapp_instance_id from public.profiles") == [{"whatsapp_instance_id": None}]
    assert [r["instance_id"] for r in db.rows("select instance_id from messaging.outbox")] == [
        full.instance_id
    ]
    assert len(logs.named("sign_up.no_room")) == 1


def test_email_may_be_left_out(client: httpx.Client, number: Number) -> None:
    """Only a bad e-mail is refused."""
    assert sign_up(client, email=None).json()["success"] is True
    assert sign_up(client, phone="11987650002", email=" ").json()["success"] is True


BAD: list[tuple[dict[str, object], str]] = [
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"name": 7}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"phone": ""}, "phone"),
    ({"phone": 5511987650001}, "phone"),
    ({"phone": "123"}, "phone"),
    ({"phone": "telefone"}, "phone"),
    ({"phone": "00000000000"}, "phone"),
    ({"phone": "11 98765-0001 ramal 2"}, "phone"),
    ({"phone": "5500987650001"}, "phone"),
    ({"phone": "9" * 41}, "phone"),
    ({"email": "ana"}, "email"),
    ({"email": "ana@example"}, "email"),
    ({"email": "a@b..c"}, "email"),
    ({"email": ["a@b.c"]}, "email"),
]


def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """A 400 names the field that must change."""
    before = stored(db)
    for changes, names in BAD:
        answer = client.post(f"{FUNCTIONS}/start-trial", json=GOOD | changes)
        assert answer.status_code == 400, changes
        assert answer.json()["error"].startswith(names), changes
    assert stored(db) == before


def test_missing_fields_are_named(client: httpx.Client, db: Database, number: Number) -> None:
    """An empty object is no sign-up."""
    answer = client.post(f"{FUNCTIONS}/start-trial", json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "name is missing"})


def test_both_phone_forms_from_32_threads_make_one_profile_one_seat_one_welcome(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """However often and in whatever form one person signs up at once, it happens once."""
    forms = ["11987650001", "1187650001", "5511987650001", "551187650001"] * 8
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda phone: sign_up(client, phone=phone), forms))

    assert {answer.status_code for answer in answers} == {200}
    assert sum("success" in answer.json() for answer in answers) == 1
    assert sum("alreadyExists" in answer.json() for answer in answers) == 31
    counts = stored(db)
    assert (counts["profiles"], counts["seats_taken"], counts["messages"]) == (1, 1, 1)


def test_without_any_number_nobody_is_told_to_wait_for_a_message(
    client: httpx.Client, db: Database, logs: Logs
) -> None:
    """The profile is kept, the answer promises no welcome, and somebody must look."""
    body = sign_up(client).json()
    assert body["success"] is True and body["warning"] == "no_number"
    assert "instantes" not in body["message"] and body["message"].startswith("Cadastro feito!")
    assert (stored(db)["profiles"], stored(db)["messages"]) == (1, 0)
    assert len(logs.named("sign_up.no_number")) == 1 and PERSON not in logs.text
