"""What the model wrote becomes what people are sent: tolerant of form, and nothing internal gets through."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.agent import Bubble, Reply
from shared.agent_reply import (
    LONGEST_BUBBLE,
    MOST_BUBBLES,
    UnusableText,
    plain_text,
    read_reply,
    strip_tags,
    whole_sentences,
)


def _said(**fields: object) -> str:
    return json.dumps({"bubbles": [{"text": "Oi", "spoken": False}]} | fields)


def test_the_whole_form_is_read() -> None:
    """Every field of the form that we ask for arrives, in its type."""
    reply = read_reply(
        json.dumps(
            {
                "bubbles": [
                    {"text": "Oi, Ana!", "spoken": False},
                    {"text": "Respira comigo.", "spoken": True},
                ],
                "conversation_status": "awaiting",
                "session_active": True,
                "do_not_disturb_h": 4,
            }
        )
    )
    assert reply == Reply((Bubble("Oi, Ana!"), Bubble("Respira comigo.", True)), "awaiting", True, 4.0)


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "```\n{}```",
        "<think>talvez {{isto}}</think>\n{}",
        "Aqui está:\n{}",
        "{}\n\nEspero ter ajudado!",
        "  \n{}",
    ],
)
def test_json_in_a_wrapping_is_found(wrapped: str) -> None:
    """Fences, thoughts and courtesies around the JSON are not shown to anybody."""
    text = wrapped.replace("{{isto}}", "isto").replace("{}", _said())
    assert read_reply(text).bubbles == (Bubble("Oi"),)


def test_plain_words_are_bubbles_by_paragraph() -> None:
    """A model that ignores the form still answers: a bubble for each paragraph, in order."""
    reply = read_reply("Oi, Ana.\nTudo bem?\n\n  \n\nEstou aqui.\r\n\r\nConta mais.")
    assert [bubble.text for bubble in reply.bubbles] == ["Oi, Ana.\nTudo bem?", "Estou aqui.", "Conta mais."]
    assert (reply.conversation_status, reply.session_active, reply.do_not_disturb_h) == (
        "neutral",
        False,
        None,
    )


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "   \n",
        7,
        ["Oi"],
        {"text": "Oi"},
        '{"bubbles": [',
        '{"bubbles": []}',
        '{"bubbles": "Oi"}',
        '{"bubbles": [{}]}',
        '{"bubbles": [{"text": null}, {"text": 3}, {"text": "  "}, {"text": "[AGUARDANDO]"}]}',
        '{"answer": "Oi"}',
        '[{"texto": "Oi"}]',
        "{nada}",
        'Claro! {"bubbles": [{"text": "Oi"',
        "<think>ainda estou pensando",
        "[SESSAO:inicio]",
        "Oi\x00",
        '{"bubbles": [{"text": "Oi\\u0000"}]}',
        '{"bubbles": [{"text": "Oi \\ud800"}]}',
        "Oi \ud800",
        '["' + "[" * 100_000,
        '{"bubbles": ' + "[" * 100_000,
        '{"bubbles": [{"text": ' + "9" * 5000 + "}]}",
    ],
)
def test_what_nobody_should_be_sent__refused(content: object) -> None:
    """Nothing, broken JSON, foreign forms, and characters that cannot be stored: the fixed answer stands."""
    with pytest.raises(UnusableText):
        read_reply(content)


@pytest.mark.parametrize(
    ("field", "given", "read"),
    [
        ("conversation_status", "complete", "complete"),
        ("conversation_status", "COMPLETE!", "neutral"),
        ("conversation_status", ["complete"], "neutral"),
        ("session_active", "true", False),
        ("session_active", 1, False),
        ("do_not_disturb_h", 2.5, 2.5),
        ("do_not_disturb_h", 1e300, 168.0),
        ("do_not_disturb_h", 10**400, 168.0),
        ("do_not_disturb_h", 0, None),
        ("do_not_disturb_h", -1, None),
        ("do_not_disturb_h", True, None),
        ("do_not_disturb_h", "4", None),
        ("do_not_disturb_h", float("nan"), None),
        ("do_not_disturb_h", float("inf"), 168.0),
        ("do_not_disturb_h", float("-inf"), None),
    ],
)
def test_a_field_of_the_wrong_form_is_as_if_absent(field: str, given: object, read: object) -> None:
    """The bubbles still go; only a real true, a known word and a sensible number change anything."""
    assert getattr(read_reply(_said(**{field: given})), field) == read


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Até mais! [NAO_PERTURBE:4]", "Até mais!"),
        ("[AGUARDANDO_RESPOSTA] Como foi?", "Como foi?"),
        ("Vamos [MEDITACAO: respiração\nlenta] começar", "Vamos começar"),
        ("[A:[SESSAO:1] oi", "[A: oi"),
        ("[SESSAO:[MODO:x]] oi", "oi"),
        ("veja [aqui](x) e [1]", "veja [aqui](x) e [1]"),
        ("dois  espaços ficam", "dois  espaços ficam"),
    ],
)
def test_internal_tags_are_stripped(text: str, shown: str) -> None:
    """Marks in capitals for the app never reach a person; ordinary brackets do."""
    assert strip_tags(text) == shown


def test_more_bubbles_than_eight_are_gathered_in_the_last() -> None:
    """No paragraph is lost where there are too many of them."""
    reply = read_reply("\n\n".join(f"Parte {n}." for n in range(1, 12)))
    assert [bubble.text for bubble in reply.bubbles[:7]] == [f"Parte {n}." for n in range(1, 8)]
    assert reply.bubbles[7].text == "Parte 8.\n\nParte 9.\n\nParte 10.\n\nParte 11."


def test_a_long_bubble_is_divided_between_sentences() -> None:
    """Each piece is short enough and ends where a sentence ends; nothing is left out."""
    sentences = [f"Esta é a frase de número {n}." for n in range(100)]
    pieces = [bubble.text for bubble in read_reply(" ".join(sentences)).bubbles]
    assert " ".join(pieces) == " ".join(sentences)
    assert all(piece.endswith(".") and len(piece) <= LONGEST_BUBBLE for piece in pieces)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4000))
def test_whatever_the_words__bubbles_keep_their_bounds(text: str) -> None:
    """One to eight bubbles of 1 to 1,500 characters, or a refusal; never anything else."""
    try:
        reply = read_reply(text)
    except UnusableText:
        return
    assert 1 <= len(reply.bubbles) <= MOST_BUBBLES
    assert all(bubble.text.strip() and len(bubble.text) <= LONGEST_BUBBLE for bubble in reply.bubbles)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=2000),
    lambda inner: (
        st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from(["text", "spoken", "x"]), inner)
    ),
    max_leaves=30,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["bubbles", "conversation_status", "session_active", "do_not_disturb_h"]), _JSON
    )
)
def test_whatever_the_json__a_reply_keeps_its_types(value: dict[str, object]) -> None:
    """The reader promises types to its callers, whatever the model put in their places."""
    try:
        reply = read_reply(json.dumps(value))
    except UnusableText:
        return
    assert all(0 < len(b.text) <= LONGEST_BUBBLE and isinstance(b.spoken, bool) for b in reply.bubbles)
    assert reply.conversation_status in ("complete", "awaiting", "neutral")
    assert isinstance(reply.session_active, bool)
    assert reply.do_not_disturb_h is None or 0 < reply.do_not_disturb_h <= 168


@pytest.mark.parametrize(
    "hostile",
    [
        "```" + " " * 200_000 + "x",
        "[ABC:" * 40_000,
        "[ABC:" * 30_000 + "]" * 30_000,
        "[ " * 100_000,
        "\n \n" * 60_000 + "x",
        "." + "'" * 200_000,
        "<think>" * 30_000,
        "a" * 250_000,
        " [" + "A" * 250_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_hostile_words_take_no_time(hostile: str) -> None:
    """Reading a quarter of a megabyte of anything ends within two seconds, whatever comes of it."""
    began = time.monotonic()
    with suppress(UnusableText):
        read_reply(hostile)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "longest", "kept"),
    [
        ("Oi. Tudo bem?", 13, "Oi. Tudo bem?"),
        ("Oi. Tudo bem?", 12, "Oi."),
        ("Custa 1.5 real. Caro.", 16, "Custa 1.5 real."),
        ("Primeira linha\nsegunda", 16, "Primeira linha"),
        ("Ela disse “oi.” E foi.", 15, "Ela disse “oi.”"),
    ],
)
def test_a_text_that_is_too_long_loses_whole_sentences(text: str, longest: int, kept: str) -> None:
    """A person never reads half a sentence."""
    assert whole_sentences(text, longest) == kept


@pytest.mark.parametrize("text", ["Uma frase comprida demais.", "a" * 20, "a...................."])
def test_a_text_without_a_sentence_that_fits__refused(text: str) -> None:
    """Then the fixed text stands."""
    with pytest.raises(UnusableText):
        whole_sentences(text, 10)


def test_a_written_text_is_shown_without_its_wrapping() -> None:
    """Fences, thoughts and tags are the model's, not the person's."""
    assert plain_text("<think>hm</think>```\nBoa semana! [TOM:leve]\n```") == "Boa semana!"
