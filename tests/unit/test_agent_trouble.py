"""A service that fails in every way: the answer is None, in time, with one line in the log that tells nothing
secret."""

import gzip
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable

import pytest

from shared.agent import Agent, Request
from shared.openai_agent import OpenAIAgent
from shared.settings import Settings
from tests.agent_server import (
    AgentServer,
    Trouble,
    break_off,
    completion,
    failing,
    flood,
    garble,
    hang_up,
    saying,
    slow,
    trickle,
)
from tests.unit.agents import (
    KEY,
    MARGIN_S,
    SHORT_PATIENCE_S,
    WORDS,
    Said,
    agent_at,
    expect_one_line,
)
from tests.waiting import eventually

CALLS: dict[str, Callable[[Agent, AgentServer], object]] = {
    "answer": lambda agent, _: agent.answer(Request(name="Ana", text=WORDS)),
    "write": lambda agent, _: agent.write("Escreva", WORDS, longest=200),
    "transcribe": lambda agent, service: agent.transcribe(f"{service.origin}/{WORDS}"),
    "speak": lambda agent, _: agent.speak(WORDS),
}

TROUBLES: dict[str, Trouble] = {
    "hang up": hang_up,
    "break off": break_off,
    "garble": garble,
    "flood": flood,
    "400": failing(400, json.dumps({"error": f"{KEY} {WORDS}"}).encode()),
    "401": failing(401),
    "404": failing(404, b"<html>"),
    "429": failing(429),
    "500": failing(500),
    "redirect": failing(307),
    "no content": failing(204, b""),
    "not yet": failing(202, completion("Oi.")),
    "not JSON": saying(f"<pre>{WORDS} {KEY}</pre>".encode()),
    "an array": saying(b"[]"),
    "deep": saying(b"[" * 200_000),
    "empty": saying(b""),
    "compressed": saying(gzip.compress(completion("Oi.")), Content_Encoding="gzip"),
    "bad UTF-8": saying(b'{"choices": "\xff\xfe"}'),
}

CHATS: dict[str, bytes] = {
    "no choices": b'{"choices": []}',
    "null choices": b'{"choices": null}',
    "odd choice": b'{"choices": [7]}',
    "no message": b'{"choices": [{"message": null}]}',
    "refusal": completion(None),
    "parts": completion([{"type": "text", "text": "Oi"}]),
    "cut short": completion("Oi. Eu", finish_reason="length"),
    "filtered": completion("Oi.", finish_reason="content_filter"),
    "NUL": completion("Oi\x00."),
    "surrogate": completion("Oi \ud800."),
    "blank": completion(" \n "),
    "only a tag": completion("[SESSAO:fim]"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
def test_a_service_in_trouble_is_none(
    call: str, trouble: Trouble, *, service: AgentServer, agent: OpenAIAgent, said: Said
) -> None:
    """No exception, nothing asked twice, one line."""
    service.trouble = trouble
    assert CALLS[call](agent, service) is None
    asked = [request.path for request in service.requests]
    assert len(asked) == len(set(asked)) > 0
    expect_one_line(said, call)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("trouble", [slow, trickle])
def test_a_slow_service_is_none_in_time(
    call: str, trouble: Trouble, *, service: AgentServer, hasty: OpenAIAgent, said: Said
) -> None:
    """Neither silence nor a byte now and then takes longer than the patience that is set."""
    service.trouble = trouble
    began = time.monotonic()
    assert CALLS[call](hasty, service) is None
    assert time.monotonic() - began < SHORT_PATIENCE_S + MARGIN_S
    expect_one_line(said, call, in_time=False)


@pytest.mark.parametrize("body", CHATS.values(), ids=list(CHATS))
@pytest.mark.parametrize("call", ["answer", "write"])
def test_an_answer_without_usable_words_is_none(
    call: str, body: bytes, *, service: AgentServer, agent: OpenAIAgent, said: Said
) -> None:
    """Odd shapes, refusals, answers cut short, and characters that cannot be stored."""
    service.trouble = saying(body)
    assert CALLS[call](agent, service) is None
    expect_one_line(said, call)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "http://",
        "http://[bad",
        "http://exa mple",
        "http://name.invalid/v1",
        "http://\x00/",
    ],
)
@pytest.mark.parametrize("call", ["answer", "speak"])
def test_an_address_that_leads_nowhere_is_none(call: str, url: str, said: Said, service: AgentServer) -> None:
    """Refused connections, names that do not exist, addresses that are none."""
    agent = agent_at(url)
    assert CALLS[call](agent, service) is None
    agent.close()
    expect_one_line(said, call)


def test_a_name_that_is_looked_up_for_ever_is_none_in_time(
    said: Said, service: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's look-up of a name knows no timeout; the caller does not wait for it."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: service.ending.wait(60) and [])
    agent = agent_at("http://slow.example/v1", timeout_s=SHORT_PATIENCE_S)
    began = time.monotonic()
    assert CALLS["write"](agent, service) is None
    assert time.monotonic() - began < SHORT_PATIENCE_S + MARGIN_S
    agent.close()
    expect_one_line(said, "write", in_time=False)


def test_a_handshake_that_never_ends_is_none_in_time(said: Said, service: AgentServer) -> None:
    """A port that takes the connection and then says nothing, where TLS was to begin."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent = agent_at(f"https://127.0.0.1:{silent.getsockname()[1]}/v1", timeout_s=SHORT_PATIENCE_S)
        began = time.monotonic()
        assert CALLS["write"](agent, service) is None
        assert time.monotonic() - began < SHORT_PATIENCE_S + MARGIN_S
        agent.close()
    expect_one_line(said, "write", in_time=False)


@pytest.mark.parametrize("key", ["sk-CANARY-0123456789\nX-Other: 1", "sk-CANARY-0123456789é\ud800"])
def test_a_key_that_no_header_can_hold_is_none(key: str, said: Said, service: AgentServer) -> None:
    """A mispasted key is no exception either, and does not get into the log."""
    agent = agent_at(service.url, key)
    assert agent.answer(Request(name="Ana", text="Oi")) is None
    agent.close()
    expect_one_line(said, "answer")
    assert service.requests == []


def test_a_service_that_recovers_is_used_again(service: AgentServer, agent: OpenAIAgent, said: Said) -> None:
    """Nothing of a failure stays: the next question is asked anew."""
    service.trouble = hang_up
    assert agent.write("Escreva", "algo", longest=100) is None
    service.trouble = None
    assert agent.write("Escreva", "algo", longest=100) == "Que bom te ouvir."


def test_many_threads_share_oneagent_at(service: AgentServer) -> None:
    """Sixteen questions at once are sixteen answers."""
    agent = OpenAIAgent(Settings(agent_url=service.url, agent_timeout_s=20.0))
    answers: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(agent.write("Escreva", "algo", longest=100)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    agent.close()
    assert answers == ["Que bom te ouvir."] * 16


def test_a_closed_agent_is_none(agent: OpenAIAgent, said: Said) -> None:
    """A question after the end is no exception either."""
    agent.close()
    assert agent.write("Escreva", "algo", longest=100) is None
    expect_one_line(said, "write")


def test_no_library_logs_a_key_or_an_address(
    service: AgentServer, agent: OpenAIAgent, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger wide open the HTTP libraries stay silent: an audio's address is as good as a key."""
    for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    agent.transcribe(service.file(f"/{WORDS}"))
    agent.answer(Request(name="Ana", text=WORDS))
    assert not [record.getMessage() for record in caplog.records]


def test_the_agent_does_not_show_its_key(agent: OpenAIAgent) -> None:
    """Neither its repr nor the settings' do, nor does a request show what a person wrote."""
    request = Request(
        name="Ana", text=WORDS, pending_content=WORDS, history=[{"role": "user", "content": WORDS}]
    )
    for shown in (repr(agent), str(agent), repr(request)):
        assert KEY not in shown
        assert WORDS not in shown


def test_a_thread_that_was_left_behind_ends(service: AgentServer, hasty: OpenAIAgent) -> None:
    """By itself, soon after, and without a traceback."""
    raised: list[str] = []
    before = threading.excepthook
    threading.excepthook = lambda args: raised.append("".join(traceback.format_exception(args.exc_value)))
    try:
        service.trouble = trickle
        assert hasty.write("Escreva", "algo", longest=100) is None
        eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("agent ")], 10)
    finally:
        threading.excepthook = before
    assert raised == []
