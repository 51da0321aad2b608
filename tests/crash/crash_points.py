"""A worker process that ends, with os._exit, at one named point of one message's way.

The worker, the database and the provider are the product's own and real; only the calls that it makes are
watched from outside. `python -m tests.crash.crash_points DATABASE_URL ZAPI_URL` reads one life a line from
its standard input and forks a process for each, one after the other: fifty new Pythons would take longer.
"""

import json
import os
import sys
import threading
from dataclasses import replace
from typing import Any, NoReturn

import httpx

from shared import dispatcher, log
from shared.db import Database, Row
from shared.identity import Person
from shared.providers.transport import open_http
from shared.settings import Settings
from shared.worker import Worker

# In the order in which a message passes them.
POINTS = (
    "after claim",
    "before begin commits",
    "after begin commits",
    "before write",
    "after write",
    "after reply",
    "before record commits",
    "after record commits",
)
# The code with which it ends where it should: no other way out has it.
ENDED_THERE = 77
# httpcore's own names for what happens to a request.
_WIRE = {
    "http11.send_request_headers.started": "before write",
    "http11.send_request_body.complete": "after write",
}


def end() -> NoReturn:
    """As kill -9: nothing is closed, flushed or rolled back by us."""
    os._exit(ENDED_THERE)


class Watched:
    """The database of a worker that ends at `point` of the message `text`. Others that it takes it leaves to
    their leases."""

    def __init__(self, db: Database, point: str, text: str) -> None:
        self._db, self._point, self._text = db, point, text

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """The call, ended where it should be."""
        step = {"messaging.begin_attempt": "begin", "messaging.record_attempt": "record"}.get(function)
        if step == "record" and self._point == "after reply":
            end()
        if step is not None and self._point == f"before {step} commits":
            with self._db.transaction() as transaction:
                transaction.call(function, **arguments)
                end()
        rows = self._db.call(function, **arguments)
        if function == "messaging.claim":
            rows = [row for row in rows if self._is_mine(row["message_id"])]
            if rows and self._point == "after claim":
                end()
        if step is not None and self._point == f"after {step} commits":
            end()
        return rows

    def call_one(self, function: str, /, **arguments: object) -> Row:
        """As call, its one row."""
        [row] = self.call(function, **arguments)
        return row

    def _is_mine(self, message_id: int) -> bool:
        found = self._db.rows(
            "select o.content ->> 'text' as text from messaging.outbox as o where o.id = %(id)s",
            {"id": message_id},
        )
        return bool(found[0]["text"] == self._text)

    def as_person(self, person: Person, /) -> Any:
        """No worker acts as a person."""
        raise AssertionError("no worker acts as a person")


def watch_the_wire(point: str) -> None:
    """The HTTP client of this process ends it before or after it has written a send."""

    def trace(event: str, _: dict[str, Any]) -> None:
        if _WIRE.get(event) == point:
            end()

    def mark(request: httpx.Request) -> None:
        if "/send-" in request.url.path:
            request.extensions = {**request.extensions, "trace": trace}

    def opened(**limits: Any) -> httpx.Client:
        http = open_http(**limits)
        http.event_hooks = {"request": [mark]}
        return http

    setattr(dispatcher, "open_http", opened)  # noqa: B010 - it is no part of what the module offers


def live(database_url: str, zapi_url: str, point: str, text: str) -> None:
    """One worker's life, in a process of its own."""
    watch_the_wire(point)
    db = Database(database_url, max_size=8, application_name=f"crash {point}")
    settings = replace(Settings(), zapi_base_url=zapi_url, poll_interval_s=0.02, max_in_flight=4)
    Worker(Watched(db, point, text), settings, text).run(threading.Event())


def main(database_url: str, zapi_url: str) -> None:
    """A life a line; its exit code a line back."""
    log.configure("INFO", secrets=())
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            live(database_url, zapi_url, asked["point"], asked["text"])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
