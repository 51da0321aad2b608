"""Redaction: no secret, no whole phone, no byte that cannot be stored."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.redaction import (
    MASK,
    RedactingFilter,
    Redactor,
    clean_text,
    mask_phones,
    phone_tail,
    redact_event,
    scrub,
)

UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("phone", "tail"),
    [
        ("5551987654321", "…4321"),
        ("+55 (51) 98765-4321", "…4321"),
        ("5551987654321@lid", "…4321"),
        ("4321", "…"),
        ("", "…"),
        (None, "…"),
    ],
)
def test_a_phone_is_shown_by_its_tail(phone: str | None, tail: str) -> None:
    """Four digits at most, and none of a number that has only four."""
    assert tail == phone_tail(phone)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("para 5551987654321 agora", "para …4321 agora"),
        ("5551987654321,5551900000000", "…4321,…0000"),
        ("id3EB05551987654321x", "id3EB…4321x"),
        ("em 2026-11-22T12:00:00.123456+00:00", "em 2026-11-22T12:00:00.123456+00:00"),
        (f"mensagem {UUID}", f"mensagem {UUID}"),
        ("123456789", "123456789"),
        ("1234567890", "…7890"),
    ],
)
def test_long_runs_of_digits_are_masked(text: str, masked: str) -> None:
    """Ten digits or more may be a phone; times and UUIDs stay readable."""
    assert masked == mask_phones(text)


@given(st.text(), st.integers(min_value=10**9, max_value=10**15))
def test_no_phone_survives_masking(around: str, phone: int) -> None:
    """Wherever a phone stands, it is not there afterwards."""
    assert str(phone) not in mask_phones(f"{around} {phone} {around}").replace(around, "")


def test_secrets_are_scrubbed_in_both_forms() -> None:
    """Plain, URL-encoded, the longer before the one it contains, and whatever follows /token/ in a path."""
    text = "a/b+c a%2Fb%2Bc a/b+cdef https://api/instances/1/token/UNKNOWN/send-text"
    scrubbed = scrub(text, ["a/b+c", "a/b+cdef", None, ""])

    assert scrubbed == f"{MASK} {MASK} {MASK} https://api/instances/1/token/{MASK}/send-text"


@pytest.mark.parametrize(
    ("text", "cleaned"), [("a\x00b", "a�b"), ("\ud83d", "�"), ("😀 ok", "😀 ok"), ("", "")]
)
def test_unstorable_characters_are_replaced(text: str, cleaned: str) -> None:
    """NUL and lone surrogates; whole emoji stay."""
    assert cleaned == clean_text(text)


def test_an_event_is_stored_without_credentials() -> None:
    """At every depth and in every spelling; what is not a credential stays, in its type."""
    payload = {
        "type": "x",
        "token": "T",
        "data": {"apikey": "K", "Client-Token": "C", "z-api-token": "Z", "n": 1, "f": 1.5, "none": None},
        "list": [{"API_KEY": "K"}, {"Authorization": "B"}, {"proxyUrl": "http://u:p@h"}, "texto", True],
        "text": {"message": "meu token é 123"},
    }

    assert redact_event(payload) == {
        "type": "x",
        "data": {"n": 1, "f": 1.5, "none": None},
        "list": [{}, {}, {}, "texto", True],
        "text": {"message": "meu token é 123"},
    }
    assert payload["token"] == "T"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_every_event_becomes_storable(payload: Any) -> None:
    """Whatever comes, the copy is strict JSON in UTF-8 without NUL, as jsonb wants it."""
    stored = json.dumps(redact_event(payload), allow_nan=False, ensure_ascii=False)

    assert "\\u0000" not in stored
    stored.encode()


def test_an_event_is_stored_without_pairing_codes_and_media() -> None:
    """What Evolution API sends along (contract 9, "Keys leak"): a code would let its reader pair a phone."""
    event = {
        "apikey": "K",
        "hash": "H",
        "jwt_key": "J",
        "data": {"qrcode": {"code": "2@a", "pairingCode": "ABCD1234", "base64": "data:x", "count": 1}},
        "list": [{"message": {"imageMessage": {"jpegThumbnail": {"0": 1}, "caption": "olha"}}}],
        "statusCode": 500,
    }
    assert redact_event(event) == {
        "data": {"qrcode": {"count": 1}},
        "list": [{"message": {"imageMessage": {"caption": "olha"}}}],
        "statusCode": 500,
    }


def test_an_event_is_stored_without_the_secrets_of_its_request() -> None:
    """In keys and texts at every depth, plain or URL-encoded; nothing, and what is too short to be a secret,
    is looked for nowhere."""
    event = {"url": "https://x/a%2Fb-secret?token=a/b-secret", "list": [{"a/b-secret": "oi, ana"}], "n": 1}
    scrubbed = {"url": f"https://x/{MASK}?token={MASK}", "list": [{MASK: "oi, ana"}], "n": 1}

    assert redact_event(event, ["a/b-secret"]) == scrubbed
    assert redact_event(event, ["", None, "oi", "a", "a/b-secret"]) == scrubbed
    assert redact_event(event, ["", None, "ana"]) == event
    assert redact_event({"x-roleta-webhook": "S", "n": 1}) == {"n": 1}


def test_a_deep_event_ends() -> None:
    """Nesting beyond the gateway's limit is cut, not followed for ever."""
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]

    assert MASK in json.dumps(redact_event(deep))


def test_the_log_processor_masks_what_it_is_given() -> None:
    """Secrets and phones in texts, numbers, containers and exceptions; credential keys whole."""
    redactor = Redactor(["segredo-1"])
    redactor.register("segredo-2")
    redactor.register("abc")
    event = redactor(
        None,
        "info",
        {
            "event": "enviando segredo-1 a 5551987654321",
            "phone": 5551987654321,
            "count": 12,
            "ok": True,
            "share": 0.5,
            "more": {"who": "5551987654321", "token": "x"},
            "all": ["segredo-2", ("5551987654321",)],
            "error": ValueError("segredo-2 em 5551987654321"),
            "token": "qualquer",
            "word": "abc",
        },
    )

    assert event == {
        "event": f"enviando {MASK} a …4321",
        "phone": "…4321",
        "count": 12,
        "ok": True,
        "share": 0.5,
        "more": {"who": "…4321", "token": MASK},
        "all": [MASK, ["…4321"]],
        "error": f"ValueError('{MASK} em …4321')",
        "token": MASK,
        "word": "abc",
    }


def test_the_logging_filter_masks_messages_and_tracebacks() -> None:
    """Libraries that log by themselves are masked too, arguments and tracebacks included."""
    handler = _Kept()
    handler.addFilter(RedactingFilter(Redactor(["segredo-1"])))
    logger = logging.Logger("alguma.biblioteca")
    logger.addHandler(handler)
    try:
        raise ValueError("segredo-1 falhou para 5551987654321")
    except ValueError:
        logger.warning("para %s com %s", "5551987654321", "segredo-1", exc_info=sys.exc_info())

    (line,) = handler.lines
    assert line.startswith(f"para …4321 com {MASK}")
    assert f"ValueError: {MASK} falhou para …4321" in line
    assert "segredo-1" not in line
    assert "5551987654321" not in line


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
