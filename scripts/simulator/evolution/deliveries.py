"""Webhooks as Evolution posts them (evolution contract 6): envelope, address, headers, retries. What the
events say is in payloads.py."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.simulator.evolution.rows import Channel, stamp
from scripts.simulator.evolution.settings import Options
from scripts.simulator.evolution.world import World

NOT_RETRIED = frozenset({400, 401, 403, 404, 422})
_JITTER = 0.2
# Each event is posted by itself; on a quiet loopback they arrive in order all the same.
_IN_ORDER_FOR_S = 1.0


def emit(world: World, channel: Channel, event: str, data: Any) -> asyncio.Task[None] | None:
    """Post one event in the background where the instance subscribes to it. The task ends with the last
    attempt."""
    webhook = channel.row.webhook
    if not webhook or not webhook["enabled"] or not re.match(r"https?://", webhook["url"]):
        return None
    if _subscription(event) not in webhook["events"]:
        return None
    mode = world.options.webhook_mode
    if mode == "lost":
        world.counted("lost")
        return None
    post = _post(world, channel, event, data)
    if mode == "doubled":
        # To the letter: its time is a part of what a copy is known by.
        again = replace(post, before=post.attempted, attempted=asyncio.Event())
        world.posting.spawn(_deliver(world, again))
    return world.posting.spawn(_deliver(world, post))


def _subscription(event: str) -> str:
    return re.sub(r"[.-]", "_", event).upper()


@dataclass
class _Post:
    """One event on its way; `before`: the one that was made before it has been tried."""

    address: str
    headers: list[tuple[str, str]]
    body: bytes
    before: asyncio.Event | None
    late_s: float
    attempted: asyncio.Event = field(default_factory=asyncio.Event)


def _post(world: World, channel: Channel, event: str, data: Any) -> _Post:
    webhook = dict(channel.row.webhook or {})
    body = json.dumps(envelope(world, channel, event, data, webhook["url"]), ensure_ascii=False).encode()
    address = webhook["url"]
    if webhook["webhookByEvents"]:
        # As a text: a trailing slash gives two, a query swallows it (contract 6).
        address += "/" + _subscription(event).replace("_", "-").lower()
    headers = _headers(world, channel, event, webhook["headers"] or {})
    late = world.options.webhook_late_s if world.options.webhook_mode == "late" else 0.0
    post = _Post(address, headers, body, channel.first_attempt, late)
    channel.first_attempt = post.attempted
    return post


async def _deliver(world: World, post: _Post) -> None:
    options = world.options
    if post.late_s:
        post.attempted.set()
        await world.wait(post.late_s)
    elif post.before:
        # The one before may be slow: events do not wait for each other.
        with suppress(TimeoutError):
            await asyncio.wait_for(post.before.wait(), _IN_ORDER_FOR_S)
    for attempt in range(options.retry_attempts):
        if attempt:
            await world.wait(pause_before(attempt, options, world.dice))
        seconds = options.webhook_timeout_s
        http_status = await world.poster.request(post.address, post.headers, post.body, seconds)
        post.attempted.set()
        well = 200 <= http_status < 300
        world.counted("posted" if well else "failed")
        if well or http_status in NOT_RETRIED:
            return
    world.counted("given_up")


def pause_before(attempt: int, options: Options, dice: random.Random) -> float:
    """Seconds to wait before attempt number `attempt` (the first has none): 5 s doubled each time, at most
    300 s, a fifth more or less, never under the first wait."""
    pause = min(options.retry_first_s * 2.0 ** (attempt - 1), options.retry_most_s)
    return max(pause * dice.uniform(1 - _JITTER, 1 + _JITTER), options.retry_first_s)


def envelope(world: World, channel: Channel, event: str, data: Any, destination: str) -> dict[str, Any]:
    """What is around an event's data; made once, so retries repeat its time."""
    sender = {"sender": channel.own_jid} if channel.own_jid else {}
    return {
        "event": event,
        "instance": channel.row.name,
        "data": data,
        "destination": destination,
        "date_time": stamp(),
        **sender,
        "server_url": world.base_url,
        "apikey": channel.row.token if world.options.expose_apikey else None,
    }


def _headers(world: World, channel: Channel, event: str, configured: dict[str, Any]) -> list[tuple[str, str]]:
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Content-Type": "application/json",
        "User-Agent": "axios/1.7.9",
        "Accept-Encoding": "gzip, compress, deflate, br",
    }
    if world.profile.describing_headers:
        headers["X-Instance-ID"] = channel.row.id
        headers["X-Instance-Name"] = channel.row.name
        headers["X-Event-Type"] = event
        headers["X-Timestamp"] = str(int(time.time() * 1000))
    own = {name: str(value) for name, value in configured.items() if name != "jwt_key"}
    if "jwt_key" in configured:
        own["Authorization"] = f"Bearer {_token(str(configured['jwt_key']))}"
    return list({**headers, **own}.items())


def _token(key: str) -> str:
    issued = int(time.time())
    claims = {"iat": issued, "exp": issued + 600, "app": "evolution", "action": "webhook"}
    signed = b".".join(_unpadded(part) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    digest = hmac.new(key.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def _unpadded(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=")
