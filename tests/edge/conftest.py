"""A gateway per test over the test's own database, a number, and everything that was logged."""

import logging
from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from shared.db import Database
from tests.agency_fixtures import agency, served, them
from tests.edge.gateway import Number, add_number, serving

# Names that pytest finds here.
__all__ = ["agency", "served", "them"]


class Logs:
    """What was logged in this test, by structlog or by the standard library."""

    def __init__(self, events: list[EventDict], caplog: pytest.LogCaptureFixture) -> None:
        self.events = events
        self._caplog = caplog

    @property
    def text(self) -> str:
        """All of it as one text."""
        return "\n".join([*map(repr, self.events), self._caplog.text])

    def named(self, event: str) -> list[EventDict]:
        """The structured events of one name."""
        return [each for each in self.events if each["event"] == event]


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[Logs]:
    """Logs of the whole test, at every level, but for what the test's own HTTP client says."""
    caplog.set_level(logging.DEBUG)
    for client in ("httpx", "httpcore"):
        caplog.set_level(logging.WARNING, logger=client)
    with capture_logs() as events:
        yield Logs(events, caplog)


@pytest.fixture
def client(db: Database, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a running gateway; the test fails if any request ended as an internal error."""
    with serving(db) as client:
        yield client
    assert logs.named("request.failed") == []


@pytest.fixture
def number(db: Database) -> Number:
    """The first number of the pool, hence the default one."""
    return add_number(db)


@pytest.fixture
def unconnected() -> Iterator[Database]:
    """A pool that nobody uses: enough to build an app."""
    with Database("postgresql://nobody@127.0.0.1:1/none") as database:
        yield database
