"""The agent over an OpenAI-compatible service: chat/completions, audio/transcriptions, audio/speech.

Every failure is None and one log line, which holds neither the key nor anybody's words. Nothing is tried
twice. What the model's words mean is read in shared/agent_reply.
"""

import base64
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

from shared import clock, log
from shared.agent import Reply, Request
from shared.agent_reply import UnusableText, plain_text, read_reply, whole_sentences
from shared.exchanges import Exchanges, FailedExchange
from shared.media import Media, extension_of, only_from
from shared.redaction import clean_text
from shared.settings import Settings
from shared.texts_pt.agent import answer_instructions

T = TypeVar("T")

MOST_HISTORY = 40
LONGEST_WORDS = 8_000
LONGEST_MATERIAL = 60_000
LONGEST_TRANSCRIPT = 10_000
LONGEST_SPEECH = 4_096
MAX_SPEECH_BYTES = 4 * 1024 * 1024


class OpenAIAgent:
    """The service at settings.agent_url. Threads may share it."""

    def __init__(self, settings: Settings, media: Media | None = None) -> None:
        """`media` fetches the audios; None: as production does, from the public Internet alone."""
        self._settings = settings
        self._exchanges = Exchanges()
        self._media = media or Media(only_from(settings.media_hosts))
        self._log = log.get(part="agent")

    def answer(self, request: Request) -> Reply | None:
        """The model's answer, asked for as JSON."""
        return self._bounded(
            "answer", lambda ends_at: read_reply(self._chat(_conversation(request), ends_at, as_json=True))
        )

    def write(self, instructions: str, material: str, *, longest: int) -> str | None:
        """The model's text on the material."""
        messages = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": material[:LONGEST_MATERIAL]},
        ]
        return self._bounded(
            "write", lambda ends_at: whole_sentences(plain_text(self._chat(messages, ends_at)), longest)
        )

    def transcribe(self, audio_url: str) -> str | None:
        """The words of an audio in Portuguese; None without a transcription model."""
        model = self._settings.transcription_model
        if model is None:
            return None
        return self._bounded("transcribe", lambda ends_at: self._transcript(model, audio_url, ends_at))

    def speak(self, text: str) -> str | None:
        """The text spoken; None without a speech model, and for a text that is empty or too long."""
        model = self._settings.speech_model
        if model is None or not text.strip() or len(text) > LONGEST_SPEECH:
            return None
        return self._bounded("speak", lambda ends_at: self._speech(model, text, ends_at))

    def close(self) -> None:
        """Closes the connections."""
        self._exchanges.close()
        self._media.close()

    def _chat(
        self, messages: Sequence[Mapping[str, str]], ends_at: float, *, as_json: bool = False
    ) -> object:
        body: dict[str, Any] = {"model": self._settings.agent_model, "messages": messages}
        if as_json:
            body["response_format"] = {"type": "json_object"}
        choice = _first_choice(self._post_json("/chat/completions", body, ends_at))
        if choice.get("finish_reason") in ("length", "content_filter"):
            raise UnusableText(f"the model stopped early: {choice['finish_reason']}")
        message = choice.get("message")
        return message.get("content") if isinstance(message, Mapping) else None

    def _transcript(self, model: str, audio_url: str, ends_at: float) -> str:
        audio, media_type = self._media.fetch(audio_url, ends_at=ends_at)
        request = self._request(
            "/audio/transcriptions",
            data={"model": model, "language": "pt", "response_format": "json"},
            # The service tells the format by the name (OpenAI's API reference, createTranscription).
            files={"file": (f"audio.{extension_of(media_type)}", audio, media_type)},
        )
        told = _object(self._exchanges.body_of(request, ends_at=ends_at)[0])
        return plain_text(told.get("text"))[:LONGEST_TRANSCRIPT]

    def _speech(self, model: str, text: str, ends_at: float) -> str:
        body = {
            "model": model,
            "voice": self._settings.speech_voice,
            "input": clean_text(text),
            "response_format": "mp3",
        }
        request = self._request("/audio/speech", content=_json_bytes(body))
        audio, _ = self._exchanges.body_of(request, ends_at=ends_at, limit=MAX_SPEECH_BYTES)
        # Whatever its media type says: an error page must not become a voice message.
        if not _begins_as_mp3(audio):
            raise FailedExchange("what came is no MP3")
        return f"data:audio/mpeg;base64,{base64.b64encode(audio).decode()}"

    def _post_json(self, path: str, body: Mapping[str, Any], ends_at: float) -> Mapping[str, Any]:
        request = self._request(path, content=_json_bytes(body))
        return _object(self._exchanges.body_of(request, ends_at=ends_at)[0])

    def _request(self, path: str, **form: Any) -> httpx.Request:
        headers = {"Content-Type": "application/json"} if "content" in form else {}
        if self._settings.agent_key is not None:
            headers["Authorization"] = f"Bearer {self._settings.agent_key}"
        return self._exchanges.request("POST", f"{self._settings.agent_url}{path}", headers=headers, **form)

    def _bounded(self, what: str, work: Callable[[float], T]) -> T | None:
        """`work(ends_at)` on a thread of its own: looking up a name knows no timeout, so only leaving it
        behind bounds the whole. The thread ends by itself soon after; nothing waits for it."""
        began_at = clock.monotonic()
        total_s = self._settings.agent_timeout_s
        done: queue.SimpleQueue[tuple[T | None, str]] = queue.SimpleQueue()
        thread = threading.Thread(
            target=lambda: done.put(_attempted(work, began_at + total_s)), name=f"agent {what}", daemon=True
        )
        try:
            thread.start()
            result, why = done.get(timeout=total_s)
        except queue.Empty:
            result, why = None, "out of time"
        except RuntimeError:
            result, why = None, "no thread could be started"
        if result is None:
            took_s = round(clock.monotonic() - began_at, 3)
            self._log.warning("the agent failed", call=what, why=why, took_s=took_s)
        return result


def _attempted(work: Callable[[float], T], ends_at: float) -> tuple[T | None, str]:
    """What came of it, or why nothing did: in our own words or as an error's name, since an error's text may
    hold the key or an address."""
    try:
        return work(ends_at), ""
    except (FailedExchange, UnusableText) as error:
        return None, str(error)
    except Exception as error:
        return None, type(error).__name__


def _conversation(request: Request) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": answer_instructions(request)},
        *_history(request.history),
        {"role": "user", "content": request.text[:LONGEST_WORDS]},
    ]


def _history(history: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [
        {"role": said["role"], "content": said["content"][:LONGEST_WORDS]}
        for said in history[-MOST_HISTORY:]
        if said["role"] in ("user", "assistant") and said["content"]
    ]


def _json_bytes(body: Mapping[str, Any]) -> bytes:
    """Lone surrogates replaced: some services refuse their escapes."""
    return clean_text(json.dumps(body, ensure_ascii=False)).encode()


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise FailedExchange("the answer is no JSON") from None
    if not isinstance(value, Mapping):
        raise FailedExchange("the answer is no JSON object")
    return value


def _first_choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise FailedExchange("the answer has no choices")
    return choices[0]


def _begins_as_mp3(audio: bytes) -> bool:
    """An ID3 tag, or the sync and layer bits of a frame of layer III (ISO/IEC 11172-3, 2.4.1.3)."""
    return audio.startswith(b"ID3") or (len(audio) > 1 and audio[0] == 0xFF and audio[1] & 0xE6 == 0xE2)
