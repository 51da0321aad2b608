"""An office per test, a client of its pages that is signed in, and one browser for the whole run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.db import Database
from tests.edge.gateway import NO_AUTHORITIES
from tests.pages.browser import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.pages.office import SPEED, Office, open_office, simulator
from tests.pages.visitor import Visitor


@pytest.fixture
def unconnected() -> Iterator[Database]:
    """A pool that nobody uses: enough to build an app."""
    with Database("postgresql://nobody@127.0.0.1:1/none") as database:
        yield database


@pytest.fixture(scope="session")
def evolution_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvolutionSimulator]:
    """One simulator for the whole run: starting one takes longer than most of these tests."""
    with simulator(tmp_path_factory.mktemp("evolution")) as server:
        yield server


@pytest.fixture
def evolution(evolution_server: EvolutionSimulator) -> Iterator[EvolutionSimulator]:
    """The simulator as new; it must have nothing to complain of."""
    evolution_server.control("reset", everything=True)
    evolution_server.control("server", speed=SPEED)
    yield evolution_server
    assert evolution_server.complaints() == ""


@pytest.fixture
def office(database_url: str, evolution: EvolutionSimulator) -> Iterator[Office]:
    """A running office without a worker."""
    with open_office(database_url, evolution) as office:
        yield office


@pytest.fixture
def visitor(office: Office) -> Iterator[Visitor]:
    """Somebody without a browser who is signed in as the manager."""
    with httpx.Client(base_url=office.address, verify=NO_AUTHORITIES, timeout=30) as http:
        visitor = Visitor(http)
        visitor.sign_in(office.manager)
        yield visitor


@pytest.fixture
def stranger(office: Office) -> Iterator[Visitor]:
    """Somebody without a browser who is not signed in."""
    with httpx.Client(base_url=office.address, verify=NO_AUTHORITIES, timeout=30) as http:
        yield Visitor(http)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one these tests fail: they are what shows that the pages work."""
    assert Path(CHROMIUM).exists(), f"{CHROMIUM} is missing: install Debian's package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        with contextlib.closing(browser):
            yield browser


@pytest.fixture
def context(browser: Browser, office: Office) -> Iterator[BrowserContext]:
    """A fresh browser profile in which addresses begin at the office's gateway."""
    with contextlib.closing(browser.new_context(base_url=office.address, locale="pt-BR")) as context:
        context.set_default_timeout(10_000)
        yield context
