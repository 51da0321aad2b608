"""Of what others wrote about an erased person the digits go, and nothing else."""

import json

import pytest

from shared import retention
from shared.db import Database
from tests.database.erasing import EVERYTHING, OTHER
from tests.database.keeping import LID, OTHER_FORM, PHONE, WORDS, Person, event, holding, somebody
from tests.database.talking import Talk
from tests.database.world import Row, World

# Committed, for the pool beside it and for whoever looks at everything.
pytestmark = pytest.mark.own_database


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
