"""Z-API's status and delivery events as receipts: the tables of zapi contract 5.4 and 5.5."""

from typing import Any

import pytest

from shared.providers.base import ErrorClass, Receipt
from shared.providers.zapi_events import parse
from tests.contract.zapi_payloads import delivery, status


@pytest.mark.parametrize(
    ("name", "receipt"),
    [
        ("SENT", "sent"),
        ("RECEIVED", "delivered"),
        ("READ", "read"),
        ("PLAYED", "read"),
        ("read", "read"),
        ("READ_BY_ME", None),
        ("READ-SELF", None),
        ("PENDING", None),
        (None, None),
        (["READ"], None),
    ],
)
def test_each_status_is_its_receipt(name: Any, receipt: Receipt | None) -> None:
    """What the contact's phone reported; that we read theirs moves nothing."""
    event = parse(status(name))

    assert ("status", receipt, ("3EB0SIM1",)) == (event.kind, event.receipt, event.provider_message_ids)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ids": ["A", "B", "A", 5, None]}, ("A", "B")),
        ({"ids": None, "id": "C"}, ("C",)),
        ({"ids": [], "messageId": "D"}, ("D",)),
        ({"ids": "E"}, ("E",)),
        ({"ids": {}}, ()),
    ],
)
def test_status_ids_in_every_shape(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    """`ids`, the once documented `id` and a client's `messageId` are read."""
    assert expected == parse(status("READ", **changes)).provider_message_ids


ERRORS: list[tuple[str, ErrorClass | None]] = [
    ("The message was not sent due to a likely shadow ban", "restriction"),
    ("Whatsapp rejected sending this message", "restriction"),
    ("Whatsapp did not allow sending this message", "restriction"),
    ("Did not have permission to send this message.", "restriction"),
    ("Does not have permission to send the message", "restriction"),
    ("Phone number does not exist", "contact"),
    ("Message has not been sent because it got invalid phone number", "contact"),
    ("Timeout on send message", "transient"),
    ("Error on send message", "transient"),
    ("It was not possible to send message to queue due to request error.", "queue"),
    ("Message not send caused by invalid media url", "media"),
    ("Got a 404 error while trying to send message", "media"),
    ("The url informed is not a valid url in the media format, apparently it can be an html", "media"),
    ("Unsupported sticker format: image/bmp", "media"),
    ("You must accept buttons message terms in panel to send this message.", "configuration"),
    ("You can't message this group as you don't have permission", "configuration"),
    ("This type of message can only be sent in groups", "configuration"),
    ("Message has not been edited because it has been more than 7 days", "permanent"),
    ("Comment message has not been sent because it has more than 7 days", "permanent"),
    ("Sticker not available to channels.", "permanent"),
    ("Forwarding message not found", "permanent"),
    ("Product not found", "permanent"),
    ("Message has not been sent because an error occurred in the conversion", "format"),
    ("Message has not been sent because it got invalid request params.", "format"),
    ("Something that nobody has documented", None),
]


@pytest.mark.scoreboard("R14", tier="commit")
@pytest.mark.parametrize(("error", "error_class"), ERRORS, ids=[row[0][:40] for row in ERRORS])
def test_each_delivery_error_has_its_class(error: str, error_class: ErrorClass | None) -> None:
    """A definite refusal is a failure; a timeout, and a text that nobody documented, leave the outcome
    open."""
    event = parse(delivery(error=error))

    assert (error, error_class) == (event.error, event.error_class)
    assert event.receipt == (None if error_class in {None, "transient"} else "failed")


def test_a_delivery_without_an_error_was_sent() -> None:
    """Handed to WhatsApp: sent, with both ids to find the message by."""
    event = parse(delivery())

    assert (event.kind, event.receipt, event.error, event.error_class) == ("delivery", "sent", None, None)
    assert (event.provider_message_ids, event.provider_queue_id) == (("3EB0SIM1",), "ZAAP1")


@pytest.mark.parametrize("error", [{"code": 1}, ["x"], 7, True])
def test_a_delivery_error_of_an_odd_type_is_no_success(error: Any) -> None:
    """Whatever stands in `error`, it is not "sent"."""
    event = parse(delivery(error=error))

    assert event.receipt is None
    assert event.error


def test_the_shadow_ban_code_outweighs_its_text() -> None:
    """The code says restriction, in whichever words the text does."""
    event = parse(delivery(error="Nova mensagem", errorCode="SHADOW_BAN"))

    assert (event.error_class, event.receipt) == ("restriction", "failed")
