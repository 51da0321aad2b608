"""One attempt's outcome for every answer a provider may give: the classification table, over real HTTP."""

from typing import Any

import pytest

from shared import clock
from shared.providers.base import Content, Outcome
from tests.contract.adapters import ADAPTERS, PHONE, Adapter, Answered
from tests.contract.conftest import Make, Script
from tests.contract.scripted_server import Conversation

pytestmark = [pytest.mark.usefixtures("no_leak"), pytest.mark.scoreboard("R14", tier="commit")]

EVERY_ANSWER = [
    pytest.param(adapter, answer, id=f"{adapter.name}-{answer.name.replace(' ', '-')}")
    for adapter in ADAPTERS
    for answer in adapter.answers
]


@pytest.mark.parametrize(("adapter", "answer"), EVERY_ANSWER)
def test_an_answer_ends_in_the_outcome_of_the_table(answer: Answered, script: Script, make: Make) -> None:
    """Each answer allows exactly the conclusion that the table names, and the request is made once."""
    server = script(lambda talk: talk.answer(answer.http_status, answer.body, answer.headers))
    report = make(server.base_url).send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)

    assert (answer.outcome, answer.halt_reason) == (report.outcome, report.halt_reason)
    assert answer.message_id == report.provider_message_id
    assert answer.http_status == report.http_status
    assert answer.retry_after_s == report.retry_after_s
    assert len(server.requests) == 1


@pytest.mark.parametrize(("adapter", "answer"), EVERY_ANSWER)
def test_a_detail_is_short_and_holds_no_secret(
    adapter: Adapter, answer: Answered, script: Script, make: Make
) -> None:
    """What a report says fits a log line: no credential (Z-API echoes a wrong one), no whole phone."""
    server = script(lambda talk: talk.answer(answer.http_status, answer.body, answer.headers))
    report = make(server.base_url).send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)

    assert len(report.detail) <= 200
    assert PHONE not in repr(report)
    assert not [secret for secret in adapter.secrets if secret in repr(report)]
    assert report.detail or report.outcome is Outcome.ACCEPTED or not answer.body or report.http_status == 429


def test_only_accepted_comes_with_nothing_to_explain(adapter: Adapter, script: Script, make: Make) -> None:
    """An accepted attempt has its ids and no detail; every unknown says why it is one."""
    for answer in adapter.answers:

        def behave(talk: Conversation, answer: Answered = answer) -> None:
            talk.answer(answer.http_status, answer.body, answer.headers)

        report = make(script(behave).base_url).send(
            PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5
        )
        if report.outcome is Outcome.ACCEPTED:
            assert report.provider_message_id and report.detail == ""
        if report.outcome is Outcome.UNKNOWN:
            assert report.detail


@pytest.mark.parametrize(
    "content",
    [
        Content("text", "Olá, é a Ana. 😀"),
        Content("text", "quebrado \ud83d e \x00"),
        Content("audio", media_url="https://media.example/a.ogg"),
        Content("image", "legenda", media_url="https://media.example/a.png"),
        Content("image", media_url="data:image/png;base64,AAAA"),
        Content("document", "leia", media_url="https://media.example/a.pdf", file_name="Relatório.PDF"),
    ],
    ids=["text", "text with odd characters", "audio", "image", "image in place", "document"],
)
def test_every_kind_of_content_is_sent(
    adapter: Adapter, content: Content, script: Script, make: Make
) -> None:
    """Each kind of content makes one request that the provider can accept."""
    server = script(lambda talk: talk.answer(200, adapter.accepted))
    report = make(server.base_url).send(PHONE, content, deadline=clock.monotonic() + 5)

    assert (Outcome.ACCEPTED, adapter.message_id) == (report.outcome, report.provider_message_id)
    assert PHONE.encode() in server.requests[0]


@pytest.mark.parametrize(
    ("phone", "content"),
    [
        ("", Content("text", "oi")),
        ("5" * 65, Content("text", "oi")),
        (PHONE, Content("text", "  ")),
        (PHONE, Content("audio")),
        (PHONE, Content("document", media_url="https://media.example/a", file_name="a")),
        (PHONE, Content("image", media_url="file:///etc/passwd")),
    ],
    ids=["no phone", "endless phone", "blank text", "audio without media", "no extension", "local file"],
)
def test_what_no_request_can_be_made_of__refused(
    phone: str, content: Content, script: Script, make: Make
) -> None:
    """A message that cannot be sent by anybody is rejected without a request, and says what is wrong."""
    server = script(lambda talk: talk.answer(200))
    report = make(server.base_url).send(phone, content, deadline=clock.monotonic() + 5)

    assert report.outcome is Outcome.REJECTED
    assert report.detail
    assert server.requests == []


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "text", "text": "oi"},
        {"kind": "image", "text": "legenda", "media_url": "https://media.example/a.png"},
        {"kind": "document", "media_url": "https://media.example/a.pdf", "file_name": "a.pdf"},
    ],
    ids=lambda value: value["kind"],
)
def test_content_survives_the_outbox(value: dict[str, Any]) -> None:
    """What is read from JSON is written back as the same JSON."""
    assert value == Content.from_json(value).to_json()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([], "JSON object"),
        ({}, "content.kind"),
        ({"kind": "video", "text": "x"}, "content.kind"),
        ({"kind": ["text"]}, "content.kind"),
        ({"kind": "text"}, "content.text"),
        ({"kind": "text", "text": 5}, "content.text"),
        ({"kind": "text", "text": "x", "media_url": "https://a.example"}, "content.media_url"),
        ({"kind": "audio", "text": "x", "media_url": "https://a.example"}, "content.text"),
        ({"kind": "text", "text": "x", "mentions": []}, "mentions"),
    ],
)
def test_bad_content__refused(value: Any, named: str) -> None:
    """Wrong content is refused with the name of the field to change."""
    with pytest.raises(ValueError, match=named):
        Content.from_json(value)
