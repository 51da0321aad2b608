"""Z-API's webhook payloads as typed facts: the tables of zapi contract 5."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.simulator import events
from scripts.simulator.instances import Message, configured
from shared.providers.zapi_events import parse
from tests.contract.zapi_payloads import AT, MOMENT_MS, bare, delivery, received, status

INSTANCE = configured({}, 1)
MESSAGE = Message("ZAAP1", "3EB0SIM1", "5551900000002", "text", "oi", None, 1, 0, MOMENT_MS / 1000)


def test_a_text_message_is_read_whole() -> None:
    """Who wrote what, to which number, when: every fact of the envelope."""
    event = parse(received())

    assert (
        event.kind,
        event.instance_external_id,
        event.connected_phone,
    ) == ("message", "SIM1", "5551900000001")
    assert (event.phone, event.chat_lid) == ("5551900000002", "100000000000001@lid")
    assert (event.message_kind, event.text, event.sender_name) == ("text", "oi", "Contato")
    assert (event.provider_message_ids, event.happened_at) == (("3EB0SIM000000000001",), AT)
    assert not (event.from_me or event.from_api or event.is_group or event.is_status_reply)


@pytest.mark.parametrize(
    ("content", "kind", "text", "media_url"),
    [
        ({"text": {"message": "oi", "url": "https://x"}}, "text", "oi", None),
        ({"image": {"imageUrl": "https://m/i", "caption": "foto"}}, "image", "foto", "https://m/i"),
        ({"image": {"imageUrl": "https://m/i", "caption": ""}}, "image", None, "https://m/i"),
        ({"audio": {"audioUrl": "https://m/a", "ptt": True}}, "audio", None, "https://m/a"),
        ({"video": {"videoUrl": "https://m/v", "caption": "veja"}}, "video", "veja", "https://m/v"),
        ({"document": {"documentUrl": "https://m/d", "fileName": "a.pdf"}}, "document", None, "https://m/d"),
        ({"sticker": {"stickerUrl": "https://m/s"}}, "sticker", None, "https://m/s"),
        ({"location": {"latitude": 1.0, "longitude": 2.0}}, "location", None, None),
        ({"contact": {"displayName": "Ana", "phones": []}}, "contact", None, None),
        ({"reaction": {"value": "👍"}}, "reaction", None, None),
        ({"buttonsResponseMessage": {"buttonId": "1", "message": "Sim"}}, "button_answer", "Sim", None),
        ({"buttonsResponseMessage": {"buttonId": "1"}}, "button_answer", "1", None),
        ({"listResponseMessage": {"title": "Opção 2", "selectedRowId": "2"}}, "list_answer", "Opção 2", None),
        ({"listResponseMessage": {"selectedRowId": "2"}}, "list_answer", "2", None),
        ({"hydratedTemplate": {"message": "modelo"}}, "template", "modelo", None),
        ({"buttonsMessage": {"message": "escolha"}}, "buttons", "escolha", None),
        ({"carouselMessage": {"text": "veja", "cards": []}}, "carousel", "veja", None),
        ({"poll": {"question": "Quando?"}}, "poll", "Quando?", None),
        (
            {"pollVote": {"options": [{"name": "Hoje"}, {"name": "Sempre"}]}},
            "poll_vote",
            "Hoje, Sempre",
            None,
        ),
        ({"waitingMessage": True}, "waiting", None, None),
        ({"notification": "CALL_MISSED"}, "notice", None, None),
        ({"somethingNew": {"x": 1}}, "unsupported", None, None),
        ({"text": "not an object"}, "unsupported", None, None),
        ({"text": {"message": ["odd"]}}, "text", None, None),
        ({"text": {"message": "a\x00b\ud83dc"}}, "text", "a�b�c", None),
    ],
)
def test_each_kind_of_content(
    content: dict[str, Any], kind: str, text: str | None, media_url: str | None
) -> None:
    """What a person wrote or chose is text, whichever shape it came in; media is a URL."""
    event = parse({**bare(), **content})

    assert (kind, text, media_url) == (event.message_kind, event.text, event.media_url)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fromMe": True}, "from_me"),
        ({"fromApi": True}, "from_api"),
        ({"isGroup": True}, "is_group"),
        ({"isNewsletter": True}, "is_newsletter"),
        ({"broadcast": True}, "is_broadcast"),
        ({"isStatusReply": True}, "is_status_reply"),
        ({"isEdit": True}, "is_edit"),
        ({"waitingMessage": True}, "is_waiting"),
    ],
)
def test_each_flag_is_its_own(changes: dict[str, Any], field: str) -> None:
    """A flag is true only where its field is true: "true" and 1 are not."""
    assert getattr(parse(received(**changes)), field) is True
    odd: dict[str, Any] = dict.fromkeys(changes, "true")
    assert getattr(parse(received(**odd)), field) is False


def test_the_author_in_a_group_is_the_participant() -> None:
    """The phone of a group message is the group; who wrote is another field."""
    event = parse(received(isGroup=True, phone="120363-group", participantPhone="5551900000003"))

    assert (event.phone, event.participant_phone) == ("120363-group", "5551900000003")


def test_the_lid_is_read_from_either_field() -> None:
    """chatLid is what comes, senderLid what some samples show."""
    assert parse(received(chatLid=None, senderLid="7@lid")).chat_lid == "7@lid"


def test_the_sender_of_our_own_message_is_not_the_person() -> None:
    """Only the chat tells who the person is; our own LID must not become the person's."""
    assert parse(received(fromMe=True, chatLid=None, senderLid="7@lid")).chat_lid is None
    assert parse(received(fromMe=True, senderLid="7@lid")).chat_lid == "100000000000001@lid"


@pytest.mark.parametrize(
    ("momment", "expected"),
    [
        (MOMENT_MS, AT),
        (MOMENT_MS // 1000, AT),
        (MOMENT_MS / 1000, AT),
        (0, None),
        (580_163_342, None),
        (-5, None),
        (10**18, None),
        (True, None),
        ("1790000000000", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_the_time_is_read_by_magnitude(momment: Any, expected: datetime | None) -> None:
    """Seconds and milliseconds give the same time; nonsense gives none."""
    assert expected == parse(received(momment=momment)).happened_at


def test_connection_events() -> None:
    """Which phone came, or that it went and why; both units of time."""
    came = parse(
        {
            "type": "ConnectedCallback",
            "connected": True,
            "momment": 26_151,
            "instanceId": "S",
            "phone": "555190",
        }
    )
    went = parse(
        {
            "type": "DisconnectedCallback",
            "error": "Device gone",
            "momment": MOMENT_MS // 1000,
            "instanceId": "S",
        }
    )

    assert (
        came.kind,
        came.connected_phone,
        came.phone,
        came.happened_at,
    ) == ("connected", "555190", None, None)
    assert (went.kind, went.error, went.happened_at) == ("disconnected", "Device gone", AT)


@pytest.mark.parametrize(
    "name", ["ReceivedCallback", "ReceivedCallBack", "receivedcallback", "RECEIVEDCALLBACK"]
)
def test_the_type_in_any_case(name: str) -> None:
    """The documentation spells its types in two ways."""
    assert parse(received(type=name)).kind == "message"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "ReceivedCallback"},
        {"instanceId": "SIM1"},
        {"type": "PresenceChatCallback", "instanceId": "SIM1", "phone": "5551"},
        {"type": 5, "instanceId": "SIM1"},
        {"type": "ReceivedCallback", "instanceId": ["SIM1"]},
        [],
        None,
        "text",
    ],
)
def test_what_is_no_known_event_is_other(payload: Any) -> None:
    """Without a known type or an instance there is nothing to act on, and nothing breaks."""
    event = parse(payload)

    assert event.kind == "other"
    assert event.event_key


def _different(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return parse(one).event_key != parse(other).event_key


@pytest.mark.parametrize(
    ("one", "other", "distinct"),
    [
        (received(), received(), False),
        (received(status="PENDING"), received(status="RECEIVED"), False),
        (received(momment=MOMENT_MS), received(momment=MOMENT_MS + 1), False),
        (received(), received(messageId="3EB0OTHER"), True),
        (bare(waitingMessage=True), received(), True),
        (received(), received(isEdit=True), True),
        (received(isEdit=True, momment=MOMENT_MS), received(isEdit=True, momment=MOMENT_MS + 1), True),
        (bare(messageId=None, notification="PROFILE_NAME_UPDATED"), bare(messageId=None), True),
        (status("READ"), status("READ", phoneDevice=3), False),
        (status("READ"), status("RECEIVED"), True),
        (status("READ"), status("READ", ids=["3EB0SIM2"]), True),
        (status("READ", ids=["A", "B"]), status("READ", ids=["B", "A"]), False),
        (status("READ", participantPhone="1"), status("READ", participantPhone="2"), True),
        (delivery(), delivery(momment=1), False),
        (delivery(), delivery(error="Timeout on send message"), True),
        (delivery(), received(messageId="3EB0SIM1"), True),
    ],
)
def test_the_event_key_tells_news_from_copies(
    one: dict[str, Any], other: dict[str, Any], distinct: bool
) -> None:
    """A copy has the same key; a waiting message that became readable, an edit, another status have their
    own."""
    assert distinct is _different(one, other)


def test_a_key_fits_an_index() -> None:
    """However long and odd the ids are, the key stays short and printable."""
    event = parse(status("READ", ids=["x" * 5000, "\n\u2028"]))

    assert len(event.event_key) <= 200
    assert event.event_key.isprintable()


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (events.delivery(INSTANCE, MESSAGE, None, None), "delivery"),
        (events.status(INSTANCE, MESSAGE, "READ"), "status"),
        (events.echo(INSTANCE, MESSAGE), "message"),
        (events.connected(INSTANCE), "connected"),
        (events.disconnected(INSTANCE), "disconnected"),
    ],
)
def test_the_simulator_speaks_the_same_language(payload: dict[str, Any], kind: str) -> None:
    """What the simulator posts is what the parser knows, times included."""
    event = parse(json.loads(json.dumps(payload)))

    assert (kind, INSTANCE.id) == (event.kind, event.instance_external_id)
    assert event.happened_at is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    base=st.sampled_from([received(), delivery(), delivery(error="x"), status("READ"), bare()]),
    changes=st.dictionaries(st.sampled_from(sorted({*received(), *delivery(), *status("x"), "audio"})), JSON),
)
def test_odd_types_never_raise(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever an authentic event holds in whichever field, it is parsed: a 4xx there would lose it."""
    event = parse({**base, **changes})

    assert event.event_key
    assert event.phone is None or isinstance(event.phone, str)
    assert all(isinstance(one, str) for one in event.provider_message_ids)


@pytest.mark.parametrize(
    ("payload", "sent_by"),
    [
        (received(fromMe=True, fromApi=True), "api"),
        (received(fromMe=True, fromApi=False), "hand"),
        ({name: value for name, value in received(fromMe=True).items() if name != "fromApi"}, "unsaid"),
        (received(), None),
        (received(fromMe=True, fromApi=True, isGroup=True), None),
        (received(fromMe=True, fromApi=True, isEdit=True), None),
        (delivery(), "api"),
        (delivery(error="Phone number does not exist"), "api"),
        (delivery(error="Timeout on send message"), None),
        (delivery(error="something new"), None),
        ({name: value for name, value in delivery().items() if name != "zaapId"}, "unsaid"),
        (status("READ"), "unsaid"),
        (status("READ_BY_ME"), None),
        (status("READ", isGroup=True), None),
    ],
)
def test_who_made_it_leave_the_number(payload: dict[str, Any], sent_by: str | None) -> None:
    """A send over the API, a hand on the phone, or not said; None where nothing left to one person, or where
    the text leaves open whether it did."""
    assert parse(payload).sent_by == sent_by
