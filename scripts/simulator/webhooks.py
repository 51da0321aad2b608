"""Posts events as Z-API does (zapi contract 5.1): headers, gzip, time limit, retries. Their content is in
events.py."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from scripts.simulator.instances import Instance
from scripts.simulator.options import Options
from scripts.simulator.poster import Poster

_RETRY_PAUSES_S = (1.0, 3.0, 9.0)
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_WRONG_TOKEN = "SIMULATEDWRONGTOKEN00000"  # noqa: S105 - wrong by intention


class WebhookPoster(Poster):
    """Posts events and counts what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: Counter[str] = Counter()

    async def post(self, instance: Instance, kind: str, payload: Mapping[str, Any], options: Options) -> bool:
        """Deliver one event to the address that the instance has for its kind; whether it was received. Never
        raises: a receiver that is down loses the event, as with Z-API, unless retries are on."""
        url = _address(instance, kind)
        if url is None or instance.webhooks_stopped:
            return False
        body = json.dumps(payload).encode()
        headers = _headers(instance, options)
        if options.webhook_gzip:
            body = gzip.compress(body, 1)
            headers.append(("content-encoding", "gzip"))
        for attempt in range(options.webhook_retries + 1):
            if attempt:
                pause = _RETRY_PAUSES_S[min(attempt - 1, len(_RETRY_PAUSES_S) - 1)]
                await asyncio.sleep(pause / options.queue_speed)
            http_status = await self.request(url, headers, body, options.webhook_timeout_s)
            self.counters["posted" if 200 <= http_status < 300 else "failed"] += 1
            if 200 <= http_status < 300:
                return True
        return False


def _address(instance: Instance, kind: str) -> str | None:
    # "received and sent by me" takes priority over "received" (zapi contract 4.4).
    if kind == "received" and (both := instance.webhooks.get("received_and_sent")):
        return both
    return instance.webhooks.get(kind)


def _headers(instance: Instance, options: Options) -> list[tuple[str, str]]:
    token = {"right": instance.token, "wrong": _WRONG_TOKEN}.get(options.webhook_token)
    headers = [
        ("content-type", "application/json"),
        ("origin", "https://api.z-api.io"),
        ("server", "Z-API"),
        ("user-agent", _BROWSER),
    ]
    return [*headers, ("z-api-token", token)] if token else headers
