"""Evolution API's webhook payloads as typed facts: evolution contract 6 and its appendix B."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.providers.evolution_events import (
    ConnectionChange,
    Fact,
    Ignored,
    Message,
    QrLimit,
    QrShown,
    Removed,
    parse_event,
)
from tests.contract.evolution_payloads import (
    AT,
    INSTANCE_TOKEN,
    OBSERVED,
    SENT_ID,
    event,
    message_of,
    update,
    upsert,
)

OBSERVED_FACTS: list[tuple[type, dict[str, Any]]] = [
    (Ignored, {"event": "INSTANCE_CREATE"}),
    (ConnectionChange, {"state": "connecting", "reason": 200, "phone": None, "final": False}),
    (QrShown, {"code": "2@<ref>,<key1>,<key2>,<secret>", "pairing_code": None}),
    (ConnectionChange, {"state": "connecting", "final": False, "refused": False}),
    (ConnectionChange, {"state": "open", "phone": "5511988887777", "final": False, "refused": False}),
    (
        Message,
        {
            "kind": "message",
            "from_me": True,
            "from_api": True,
            "phone": "5511999990001",
            "text": "Olá!",
            "provider_message_ids": (SENT_ID,),
            "sender_name": None,
        },
    ),
    (Message, {"kind": "delivery", "receipt": "delivered", "provider_message_ids": (SENT_ID,)}),
    (Message, {"kind": "delivery", "receipt": "read", "provider_message_ids": (SENT_ID,)}),
    (
        Message,
        {
            "kind": "message",
            "from_me": False,
            "from_api": False,
            "phone": "5511977770001",
            "text": "oi",
            "message_kind": "text",
            "sender_name": "Cliente Um",
            "happened_at": AT,
            "chat_jid": "5511977770001@s.whatsapp.net",
        },
    ),
    (Ignored, {"event": "CONTACTS_UPSERT"}),
    (Ignored, {"event": "CONTACTS_UPDATE"}),
    (Ignored, {"event": "CHATS_UPDATE"}),
    (Message, {"kind": "message", "text": "do celular", "sender_name": None, "phone": "5511999990001"}),
    (Ignored, {"event": "CONTACTS_UPSERT"}),
    (Ignored, {"event": "CHATS_UPDATE"}),
    (Removed, {"cause": "closed", "reason": None}),
    (ConnectionChange, {"state": "close", "reason": 401, "final": True, "refused": False}),
    (Removed, {"cause": "logged_out", "reason": 401}),
    (Ignored, {"event": "INSTANCE_DELETE"}),
    (Removed, {"cause": "deleted", "reason": None}),
    (QrLimit, {"instance": "delta"}),
    (ConnectionChange, {"state": "refused", "reason": 428, "final": False, "refused": True}),
    (Removed, {"cause": "device_removed", "reason": 401, "instance": "beta"}),
    (
        Message,
        {
            "is_group": True,
            "phone": None,
            "participant_phone": "5511977770003",
            "chat_jid": "120363000000000001@g.us",
        },
    ),
    (Message, {"phone": "5511977770002", "chat_lid": None, "is_group": False}),
    (Ignored, {"event": "MESSAGES_EDITED"}),
    (Ignored, {"event": "MESSAGES_DELETE"}),
]


@pytest.mark.parametrize(
    "index", range(len(OBSERVED)), ids=lambda index: f"{index}-{OBSERVED[index]['event']}"
)
def test_each_observed_body_is_read(index: int) -> None:
    """What the real server was seen to send gives these facts, with the instance's name and no token."""
    kind, expected = OBSERVED_FACTS[index]
    fact = parse_event(OBSERVED[index])

    assert type(fact) is kind
    assert expected == {name: getattr(fact, name) for name in expected}
    assert OBSERVED[index]["instance"] == fact.instance
    assert INSTANCE_TOKEN not in repr(fact)


def test_every_observed_body_has_its_expectation() -> None:
    """The table and the recorded bodies are of one length."""
    assert len(OBSERVED) == len(OBSERVED_FACTS)


def test_codes_are_in_no_repr() -> None:
    """A QR or pairing code lets somebody take the number: a log line of the fact must not hold it."""
    codes = {
        "code": "2@REF,KEY1,KEY2,SECRET",
        "pairingCode": "WZYEH1YY",
        "base64": "data:image/png;base64,AAA",
    }
    fact = parse_event(event("qrcode.updated", {"qrcode": {"instance": "loja", **codes}}))

    assert isinstance(fact, QrShown)
    assert (fact.code, fact.pairing_code) == ("2@REF,KEY1,KEY2,SECRET", "WZYEH1YY")
    assert not [code for code in codes.values() if code in repr(fact)]


@pytest.mark.parametrize("code", ["2@" + "A" * 3500, "\x00", "\ud800", " ", 7])
def test_a_code_that_no_qr_code_can_hold_is_none(code: object) -> None:
    """Stored, it would break every look at the pairing for as long as it lives."""
    shown = {"instance": "loja", "pairingCode": None, "code": code, "base64": "x"}
    assert isinstance(parse_event(event("qrcode.updated", {"qrcode": shown})), Ignored)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("connection.update", ConnectionChange),
        ("CONNECTION_UPDATE", ConnectionChange),
        ("connection-update", ConnectionChange),
        ("Connection.Update", ConnectionChange),
        ("connection update", Ignored),
        ("", Ignored),
        (None, Ignored),
        (["connection.update"], Ignored),
    ],
)
def test_event_names_in_every_spelling(name: Any, kind: type) -> None:
    """Dots, hyphens and capitals name the same event; what is no known name is passed over."""
    assert type(parse_event(event(name, {"state": "open"}))) is kind


@pytest.mark.parametrize("reason", [401, 402, 403, 406, 408, 428, 440, 503, 515, None, "401", True])
@pytest.mark.parametrize("state", ["close", "connecting", "open"])
def test_only_four_reasons_are_final(state: str, reason: Any) -> None:
    """A closed connection with one of four reasons needs a new QR code; all else reconnects by itself."""
    fact = parse_event(event("connection.update", {"state": state, "statusReason": reason}))

    assert isinstance(fact, ConnectionChange)
    assert fact.final is (state == "close" and reason in (401, 402, 403, 406) and reason is not True)
    assert fact.refused is (reason == 428)


LATER = "2026-11-22T05:00:00.000Z"


@pytest.mark.parametrize(
    ("one", "other", "distinct"),
    [
        (upsert(), upsert(), False),
        (upsert(), upsert(status="READ"), False),
        (upsert(), {**upsert(), "date_time": LATER}, False),
        (upsert(), upsert(key_id="OTHER"), True),
        (upsert(key_id=None), upsert({"conversation": "b"}, key_id=None), True),
        (upsert(), event("send.message", upsert()["data"]), True),
        # What could not be decrypted, and the same as text.
        (upsert({}), upsert(), True),
        (update("READ"), update("READ", messageId="another"), False),
        (update("READ"), update("DELIVERY_ACK"), True),
        (update("READ"), update("READ", keyId="OTHER"), True),
        (update("READ", participant="1@lid"), update("READ", participant="2@lid"), True),
        (event("logout.instance", None), event("logout.instance", None), False),
        (event("logout.instance", None), event("logout.instance", None, date_time=LATER), True),
        (event("logout.instance", None), event("remove.instance", None), True),
        (
            event("connection.update", {"state": "open"}),
            event("connection.update", {"state": "open"}, date_time=LATER),
            True,
        ),
        (
            event("connection.update", {"state": "open"}),
            event("connection.update", {"state": "open", "profileName": "x"}),
            False,
        ),
        (event("chats.update", [1]), event("chats.update", [2]), True),
    ],
)
def test_the_event_key_tells_news_from_copies(one: Any, other: Any, distinct: bool) -> None:
    """A copy, even with another status, has the same key; the same change at another time is news."""
    assert distinct is (parse_event(one).event_key != parse_event(other).event_key)


def test_a_key_fits_an_index() -> None:
    """However long and odd the ids are, the key stays short and printable."""
    for payload in (upsert(key_id="x" * 5000), update("READ", keyId="\n\u2028"), event("x" * 500, None)):
        key = parse_event(payload).event_key
        assert len(key) <= 200
        assert key.isprintable()


def test_a_list_of_one_is_read_as_the_one() -> None:
    """Some events come as lists: a message in one is not lost."""
    payload = upsert()

    assert message_of({**payload, "data": [payload["data"]]}) == message_of(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(
    {name for one in OBSERVED for name in one}
    | {name for one in OBSERVED if isinstance(one["data"], dict) for name in one["data"]}
    | {"remoteJid", "id", "code", "conversation", "imageMessage", "editedMessage", "low", "caption"}
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(OBSERVED), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_odd_types_never_raise(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever an authentic event holds in whichever field, at whichever depth, it is parsed: a 4xx there
    would lose it."""
    fact = parse_event(_changed(base, changes))

    assert fact.event_key
    assert fact.instance is None or isinstance(fact.instance, str)


@settings(max_examples=100)
@given(JSON)
def test_no_json_raises(payload: Any) -> None:
    """Neither does what is no event at all."""
    fact = parse_event(payload)

    assert isinstance(fact, Fact | Message)
    assert fact.event_key


def _changed(value: Any, changes: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: changes.get(name, _changed(inner, changes)) for name, inner in value.items()}
    return value
