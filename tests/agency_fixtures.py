"""Fixtures of the tests about connections; the conftest of each folder that has such tests imports them."""

from collections.abc import Iterator

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.db import Database
from tests.agency import Agency, Gateway, found_agency, gateway


@pytest.fixture
def agency(db: Database) -> Agency:
    """An agency with two clients."""
    return found_agency(db)


@pytest.fixture
def served(db: Database, evolution: EvolutionSimulator) -> Iterator[Gateway]:
    """A gateway that the provider's webhooks reach."""
    with gateway(db, evolution) as running:
        yield running


@pytest.fixture
def them(db: Database, served: Gateway) -> Iterator[Connections]:
    """What the function and the pages act through."""
    with Connections(db, served.settings) as found:
        yield found
