"""The three send routes' own halves: what they check, and the message that they make of a body."""

import base64
import ipaddress
import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from scripts.simulator.evolution import checks, payloads
from scripts.simulator.evolution.refusals import Refusal, bad_request, reading_of_undefined
from scripts.simulator.evolution.rows import Channel
from scripts.simulator.evolution.sending import Outgoing, send
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer

_DEFAULT_TYPES = {"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg"}
_FETCH_TIMEOUT_S = 10.0


async def send_text(world: World, channel: Channel, body: dict[str, Any]) -> Answer:
    """POST /message/sendText"""
    checks.check_text(body)
    text = str(body["text"])
    if not text.strip():
        raise bad_request("Text is required")
    message = {"conversation": text}
    return await send(world, channel, Outgoing("conversation", message, text=text, body=body))


async def send_media(world: World, channel: Channel, body: dict[str, Any]) -> Answer:
    """POST /message/sendMedia: JSON or multipart."""
    checks.check_media(body)
    kind, media, data = body["mediatype"], body.get("media", ""), body.get("file")
    by_url = _is_url(media)
    if kind == "document" and data is None and not by_url and not body.get("fileName"):
        raise bad_request("For base64 the file name must be informed.")
    if data is None and not by_url and not _is_base64(media):
        raise bad_request("Owned media must be a url or base64")
    size = await _upload(world, channel, media if by_url else None, data or _decoded(media))
    file = _file(body.get("mimetype") or _DEFAULT_TYPES.get(kind, "application/octet-stream"), size)
    if kind == "document":
        name = body.get("fileName") or body.get("file_name") or urlsplit(media).path.rpartition("/")[2]
        file = _with_name(file, str(name))
    if body.get("caption"):
        file["caption"] = body["caption"]
    message = {f"{kind}Message": {**file, "contextInfo": payloads.context()}}
    outgoing = Outgoing(f"{kind}Message", message, text=body.get("caption"), media=media[:200], body=body)
    return await send(world, channel, outgoing)


async def send_audio(world: World, channel: Channel, body: dict[str, Any]) -> Answer:
    """POST /message/sendWhatsAppAudio: nonsense becomes an audio of length 0 (contract 5)."""
    checks.check_audio(body)
    audio, data = body.get("audio", ""), body.get("file")
    by_url = isinstance(audio, str) and _is_url(audio)
    if data is None and not by_url and not (isinstance(audio, str) and _is_base64(audio)):
        raise bad_request("Owned media must be a url, base64, or valid file with buffer")
    if by_url:
        await _fetch(world, audio)
    size = len(data or ("" if by_url else _decoded(audio)))
    file = _file("audio/ogg; codecs=opus", size)
    message = {"audioMessage": {**file, "seconds": 0, "ptt": True, "contextInfo": payloads.context()}}
    return await send(world, channel, Outgoing("audioMessage", message, media=audio[:200], body=body))


async def _upload(world: World, channel: Channel, url: str | None, data: bytes) -> int:
    """Fetch and upload, which comes before the look-up; gives the size. Errors are texts in a list."""
    if url:
        await _fetch(world, url)
    if channel.line == "none":
        raise Refusal(500, [f"TypeError: {reading_of_undefined('waUploadToServer')}"])
    if channel.line == "unpaired" or channel.silent:
        # Not observed: what an upload does there is taken from what a look-up does.
        await world.wait(world.options.hang_s)
        raise Refusal(500, ["Error: Timed Out"])
    if channel.line == "down":
        raise Refusal(500, ["Error: Connection Closed"])
    return len(data)


async def _fetch(world: World, url: str) -> None:
    """Ask this machine's own servers; what lies elsewhere counts as fetched: nothing leaves the machine."""
    host = urlsplit(url).hostname or ""
    if not _is_address(host) or not ipaddress.ip_address(host).is_loopback:
        return
    http_status = await world.poster.request(url, [], b"", _FETCH_TIMEOUT_S, method="GET")
    if http_status == 0:
        raise Refusal(500, [f"AxiosError: connect ECONNREFUSED {urlsplit(url).netloc}"])
    if not 200 <= http_status < 300:
        raise Refusal(500, [f"AxiosError: Request failed with status code {http_status}"])


def _is_url(media: str) -> bool:
    parts = urlsplit(media) if re.match(r"https?://", media) else None
    return bool(parts and parts.hostname and (_is_address(parts.hostname) or "." in parts.hostname))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_base64(media: str) -> bool:
    return len(media) % 4 == 0 and re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", media) is not None


def _decoded(media: str) -> bytes:
    return base64.b64decode(media) if _is_base64(media) else b""


def _file(mimetype: str, size: int) -> dict[str, Any]:
    return {
        "url": "https://127.0.0.1/d/f/loop",
        "mimetype": mimetype,
        "fileSha256": _index_map(),
        "fileLength": {"low": size, "high": 0, "unsigned": True},
        "mediaKey": _index_map(),
        "fileEncSha256": _index_map(),
        "directPath": "/v/t62.0000-0/loop?ccb=1",
        "mediaKeyTimestamp": {"low": int(time.time()), "high": 0, "unsigned": False},
    }


def _with_name(file: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in file.items():
        found[key] = value
        if key == "mediaKey":
            found["fileName"] = name
    return found


def _index_map() -> dict[str, int]:
    # Bytes come back as an object of their places (contract 5).
    return {str(index): value for index, value in enumerate(secrets.token_bytes(32))}
