"""Audio and speech that cannot be had: None, and one line in the log."""

import time

import pytest

from shared.media import MAX_BYTES
from shared.openai_agent import MAX_SPEECH_BYTES, OpenAIAgent
from tests.agent_server import (
    OGG,
    AgentServer,
    Handler,
    slow,
)
from tests.unit.agents import MARGIN_S, SHORT_PATIENCE_S, Said, expect_one_line


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.ogg",
        "data:audio/ogg;base64,T2dn",
        "//127.0.0.1/a.ogg",
        "/etc/passwd",
        "",
        "http://",
        "http://[bad",
        "http://127.0.0.1:1/a.ogg",
    ],
)
def test_an_audio_that_is_no_web_address_is_not_fetched(address: str, agent: OpenAIAgent, said: Said) -> None:
    """Only http and https, whatever a webhook said."""
    assert agent.transcribe(address) is None
    expect_one_line(said, "transcribe")


def test_an_audio_that_moves_is_given_up(service: AgentServer, agent: OpenAIAgent, said: Said) -> None:
    """No redirect is followed, not even to the same host: where it leads, somebody else decides."""
    service.file("/la")
    service.files["/ida"] = (302, {"Location": "/la"}, b"")
    assert agent.transcribe(f"{service.origin}/ida") is None
    assert [asked.path for asked in service.requests] == ["/ida"]
    expect_one_line(said, "transcribe")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"a" * (MAX_BYTES + 1), {}),
        (b"", {}),
        (OGG, {"Content_Encoding": "gzip"}),
        (b"<html>", {"Content_Type": "text/html"}),
        (b"PK", {"Content_Type": "application/octet-stream"}),
        (b"{}", {"Content_Type": ""}),
    ],
    ids=["too large", "empty", "compressed", "a page", "no audio", "of no type"],
)
def test_an_audio_that_cannot_be_one_is_not_passed_on(
    body: bytes, headers: dict[str, str], *, service: AgentServer, agent: OpenAIAgent, said: Said
) -> None:
    """More than 10 MiB, nothing, a bomb, or another kind of file: the service is not asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    service.files["/voz"] = (200, {"Content-Type": "audio/ogg", **named}, body)
    assert agent.transcribe(f"{service.origin}/voz") is None
    assert [asked.method for asked in service.requests] == ["GET"]
    expect_one_line(said, "transcribe")


def test_the_largest_audio_is_passed_on(service: AgentServer, agent: OpenAIAgent) -> None:
    """10 MiB exactly are taken."""
    assert agent.transcribe(service.file("/voz", b"a" * MAX_BYTES)) == "Oi, tudo bem?"


@pytest.mark.parametrize("transcript", [{}, {"text": None}, {"text": " "}, {"text": "a\x00"}, []])
def test_a_transcript_without_words_is_none(
    transcript: object, service: AgentServer, agent: OpenAIAgent, said: Said
) -> None:
    """Silence in the audio is answered with the apology."""
    service.transcript = transcript
    assert agent.transcribe(service.file("/voz")) is None
    expect_one_line(said, "transcribe")


@pytest.mark.parametrize("speech", [b"ID3" + b"a" * MAX_SPEECH_BYTES, b""], ids=["too large", "empty"])
def test_speech_that_nobody_could_hear_is_none(
    speech: bytes, service: AgentServer, agent: OpenAIAgent, said: Said
) -> None:
    """More than 4 MiB, or nothing at all."""
    service.speech = speech
    assert agent.speak("Oi") is None
    expect_one_line(said, "speak")


def test_a_transcription_has_one_patience_for_both_steps(
    service: AgentServer, hasty: OpenAIAgent, said: Said
) -> None:
    """Half of the patience went for the file: only the rest is left for the service."""
    service.trouble = _half_then_silence
    began = time.monotonic()
    assert hasty.transcribe(f"{service.origin}/voz") is None
    assert time.monotonic() - began < SHORT_PATIENCE_S + MARGIN_S
    expect_one_line(said, "transcribe", in_time=False)


def _half_then_silence(handler: Handler) -> None:
    if handler.command == "GET":
        handler.agent.ending.wait(SHORT_PATIENCE_S / 2)
        handler.give(200, OGG, {"Content-Type": "audio/ogg"})
    else:
        slow(handler)
