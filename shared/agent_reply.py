"""Reads what a language model wrote as what we asked of it: tolerant of form, strict about what is sent."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.agent import CONVERSATION_STATUSES, Bubble, ConversationStatus, Reply

MOST_BUBBLES = 8
LONGEST_BUBBLE = 1_500
LONGEST_DO_NOT_DISTURB_H = 168.0
DEEPEST_TAG = 8

# A mark of the model for the app, such as [NAO_PERTURBE:4] or [AGUARDANDO]: never for people.
_TAG = re.compile(r"\[\s*[A-ZÀ-Ý][A-ZÀ-Ý0-9_ -]{2,40}(?::[^\[\]]*)?\]")
# Models that reason aloud begin with it.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.S)
_FENCE = re.compile(r"\A```[a-zA-Z]*")
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE_END = re.compile(r"[.!?…](?:[\"”')\]]*)(?=\s|\Z)|\n")
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


class UnusableText(ValueError):
    """The model's words are nothing that a person may be sent; the message says why, never what they were."""


def plain_text(content: object) -> str:
    """The model's words without thoughts, fences and internal tags. UnusableText where none are left."""
    if not isinstance(content, str):
        raise UnusableText("no text in the answer")
    if _UNSENDABLE.search(content):
        raise UnusableText("characters that cannot be stored")
    text = _without_wrapping(content)
    if not (text := strip_tags(text)):
        raise UnusableText("an empty text")
    return text


def read_reply(content: object) -> Reply:
    """The answer that was asked for as JSON; words that are no JSON are bubbles, one for each paragraph.

    UnusableText for broken JSON, which must not be shown to anybody, and where no bubble is left.
    """
    if not isinstance(content, str):
        raise UnusableText("no text in the answer")
    text = _without_wrapping(content)
    value = _json(text)
    if isinstance(value, Mapping):
        return _reply(value)
    return Reply(_bubbles([Bubble(part) for part in _BLANK_LINES.split(plain_text(text))]))


def strip_tags(text: str) -> str:
    """Without internal tags, and without the spaces that they leave behind; nothing where tags hold tags that
    hold tags, and so on."""
    stripped = text
    for _ in range(DEEPEST_TAG):
        stripped, found = _TAG.subn(" ", stripped)
        if not found:
            break
    else:
        return ""
    if stripped == text:
        return text.strip()
    return "\n".join(" ".join(line.split()) for line in stripped.splitlines()).strip()


def whole_sentences(text: str, longest: int) -> str:
    """The text, or as many of its sentences from the start as fit. UnusableText where not even one fits."""
    if len(text) <= longest:
        return text
    ends = [end.end() for end in _SENTENCE_END.finditer(text[: longest + 1]) if end.end() <= longest]
    kept = text[: ends[-1]].strip() if ends else ""
    if not kept:
        raise UnusableText("a text that is too long")
    return kept


def _without_wrapping(content: str) -> str:
    text = _THOUGHT.sub("", content).strip()
    if text.startswith("<think>"):
        raise UnusableText("a thought without end")
    if text.startswith("```") and text.endswith("```") and len(text) > 6:
        return _FENCE.sub("", text[:-3]).strip()
    return text


def _json(text: str) -> object:
    """The JSON that the text is, or holds after some words; None where it holds none."""
    if text.startswith(("{", '["', "[{")):
        start = 0
    elif '"bubbles"' in text and "{" in text:
        start = text.index("{")
    else:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        raise UnusableText("JSON that is broken") from None
    return value if isinstance(value, Mapping) else {"bubbles": value}


def _reply(value: Mapping[str, Any]) -> Reply:
    bubbles = value.get("bubbles")
    if not isinstance(bubbles, list):
        raise UnusableText("JSON without bubbles")
    status: ConversationStatus = "neutral"
    for known in CONVERSATION_STATUSES:
        if value.get("conversation_status") == known:
            status = known
    return Reply(
        _bubbles(_given(bubbles)),
        status,
        value.get("session_active") is True,
        _hours(value.get("do_not_disturb_h")),
    )


def _given(bubbles: Sequence[object]) -> Iterable[Bubble]:
    for bubble in bubbles:
        if isinstance(bubble, str):
            yield Bubble(bubble)
        elif isinstance(bubble, Mapping) and isinstance(bubble.get("text"), str):
            yield Bubble(bubble["text"], bubble.get("spoken") is True)


def _hours(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    hours = float(min(value, LONGEST_DO_NOT_DISTURB_H))
    return hours if math.isfinite(hours) and hours > 0 else None


def _bubbles(bubbles: Iterable[Bubble]) -> tuple[Bubble, ...]:
    kept = [piece for bubble in bubbles for piece in _pieces(bubble)]
    if not kept:
        raise UnusableText("no bubble is left")
    if any(_UNSENDABLE.search(bubble.text) for bubble in kept):
        raise UnusableText("characters that cannot be stored")
    if len(kept) <= MOST_BUBBLES:
        return tuple(kept)
    # Rather one long last message than an end that nobody reads.
    rest = "\n\n".join(bubble.text for bubble in kept[MOST_BUBBLES - 1 :])
    return (*kept[: MOST_BUBBLES - 1], Bubble(rest[: _cut(rest)].strip()))


def _pieces(bubble: Bubble) -> Iterable[Bubble]:
    text = strip_tags(bubble.text)
    while text:
        end = _cut(text)
        yield Bubble(text[:end].strip(), bubble.spoken)
        text = text[end:].strip()


def _cut(text: str) -> int:
    """Where a bubble of the longest length ends: after a sentence, else between words, else anywhere."""
    if len(text) <= LONGEST_BUBBLE:
        return len(text)
    window = text[:LONGEST_BUBBLE]
    ends = [end.end() for end in _SENTENCE_END.finditer(window) if end.end() < LONGEST_BUBBLE]
    if ends and ends[-1] > LONGEST_BUBBLE // 2:
        return ends[-1]
    space = window.rfind(" ")
    return space if space > 0 else LONGEST_BUBBLE
