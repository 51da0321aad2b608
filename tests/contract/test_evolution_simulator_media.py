"""Media and audio on the Evolution simulator: what is refused, what is taken (evolution contract 5)."""

from typing import Any

import httpx

from tests.contract.evolution_calls import EvolutionCalls
from tests.contract.receiver import Receiver

SOMEBODY = "5511999990001"


def _media(evolution: EvolutionCalls, **body: Any) -> httpx.Response:
    return evolution.ask("POST", "/message/sendMedia/a", {"number": SOMEBODY, **body})


def test_media_that_are_refused(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Local names, data URLs, and what cannot be fetched; where the socket is closed the upload fails."""
    evolution.opened("a")
    owned = ["Owned media must be a url or base64"]
    for media in ("http://localhost/a.png", "http://media/a.png", "data:image/png;base64,aGVsbG8=", "@@"):
        answer = _media(evolution, mediatype="image", media=media)
        assert (answer.status_code, answer.json()["response"]["message"]) == (400, owned)
    evolution.create("b")
    closed = {"number": SOMEBODY, "mediatype": "image", "media": "aGVsbG8="}
    answer = evolution.ask("POST", "/message/sendMedia/b", closed)
    undefined = "TypeError: Cannot read properties of undefined (reading 'waUploadToServer')"
    assert (answer.status_code, answer.json()["response"]["message"]) == (500, [undefined])
    assert evolution.server.accepted() == []


def test_media_that_are_taken(evolution: EvolutionCalls) -> None:
    """Base64, an address elsewhere, a file in a form; an empty text passes too; audio whatever it is."""
    evolution.opened("a")
    image = _media(evolution, mediatype="image", media="aGVsbG8=", caption="oi")
    away = _media(evolution, mediatype="document", media="https://example.test/a/b.pdf")
    empty = _media(evolution, mediatype="video", media="")
    form = evolution.http.post(
        "/message/sendMedia/a",
        headers={"apikey": evolution.server.key},
        data={"number": SOMEBODY, "mediatype": "document", "mimetype": "text/plain"},
        files={"file": ("a.txt", b"hello!", "text/plain")},
    )
    audio = evolution.ask("POST", "/message/sendWhatsAppAudio/a", {"number": SOMEBODY, "audio": "aGVsbG8="})

    answers = [image, away, empty, form, audio]
    assert [answer.status_code for answer in answers] == [201] * 5
    kinds = [answer.json()["messageType"] for answer in answers]
    assert kinds == ["imageMessage", "documentMessage", "videoMessage", "documentMessage", "audioMessage"]
    assert image.json()["message"]["imageMessage"]["caption"] == "oi"
    assert away.json()["message"]["documentMessage"]["fileName"] == "b.pdf"
    assert form.json()["message"]["documentMessage"]["fileLength"]["low"] == 6
    logged = [(line["kind"], line["text"]) for line in evolution.server.accepted()]
    assert logged[0] == ("image", "oi")
    assert [kind for kind, _ in logged] == ["image", "document", "video", "document", "audio"]
