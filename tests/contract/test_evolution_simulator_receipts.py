"""What the Evolution simulator says of messages later, and of those that arrive (evolution contract 6)."""

from typing import Any

import pytest

from tests.contract.evolution_calls import EvolutionCalls
from tests.contract.receiver import Receiver
from tests.waiting import eventually


def _statuses(receiver: Receiver) -> list[str]:
    return [
        one.payload["data"]["status"] for one in receiver.posted if one.payload["event"] == "messages.update"
    ]


@pytest.mark.parametrize(("profile", "times"), [("2.3.6", 1), ("2.3.7", 2), ("2.4.0", 2)])
def test_a_message_that_arrives_again(
    profile: str, times: int, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """2.3.6 drops it for five minutes, the later ones pass it on."""
    evolution.control("server", profile=profile)
    evolution.opened("a", receiver.url)
    first = evolution.control("inbound", instance="a", **{"from": "5511977770001"})
    again = evolution.control("redeliver", instance="a", id=first["id"])
    evolution.quiet()

    upserts = [one.payload for one in receiver.posted if one.payload["event"] == "messages.upsert"]
    ids = [payload["data"]["key"]["id"] for payload in upserts]
    assert ids == [first["id"]] * times
    assert again["became"] == ("posted" if times == 2 else "dropped")


@pytest.mark.parametrize(
    ("profile", "passed_on"), [("2.3.6", "DELETED"), ("2.3.7", "SERVER_ACK"), ("2.4.0", "SERVER_ACK")]
)
def test_receipts_by_hand(
    profile: str, passed_on: str, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """A known status as it is, an unknown one as the version calls it, none for an unknown message."""
    evolution.control("server", profile=profile)
    evolution.control("receipts", mode="never")
    evolution.opened("a", receiver.url)
    sent = evolution.text("a").json()["key"]["id"]
    for status in ("ERROR", "SOMETHING"):
        assert evolution.control("receipt", instance="a", id=sent, status=status)["known"] is True
    assert evolution.control("receipt", instance="a", id="3EB0NONE", status="READ")["known"] is False
    evolution.quiet()

    assert _statuses(receiver) == ["ERROR", passed_on]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({}, ["DELIVERY_ACK", "READ"]),
        ({"since": "SERVER_ACK", "until": "PLAYED"}, ["SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"]),
        ({"mode": "backwards", "until": "PLAYED"}, ["PLAYED", "READ", "DELIVERY_ACK"]),
        ({"mode": "twice", "until": "DELIVERY_ACK"}, ["DELIVERY_ACK", "DELIVERY_ACK"]),
        ({"mode": "never"}, []),
        ({"loss_rate": 1}, []),
    ],
)
def test_receipts_that_follow(
    plan: dict[str, Any], expected: list[str], evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """In order, as far as told, or otherwise."""
    evolution.control("receipts", **plan)
    evolution.opened("a", receiver.url)
    evolution.text("a")
    evolution.quiet()

    assert _statuses(receiver) == expected


def test_receipts_before_the_answer(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """All of a message's events have arrived when its caller learns its id."""
    evolution.control("receipts", mode="before_answer")
    evolution.opened("a", receiver.url)
    evolution.text("a")

    assert _statuses(receiver) == ["DELIVERY_ACK", "READ"]


def test_what_was_written_meanwhile_arrives_later(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """WhatsApp keeps messages for an instance that is away."""
    evolution.opened("a", receiver.url)
    evolution.control("drop", instance="a", seconds=50)
    assert evolution.control("inbound", instance="a", **{"from": "5511977770001"})["became"] == "held"
    eventually(lambda: "messages.upsert" in [one.payload["event"] for one in receiver.posted])
