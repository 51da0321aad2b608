"""Connections where the database is reached over HTTPS only (Supabase without a direct connection)."""

from collections.abc import Iterator

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.health import HealthDuty
from shared.rest import RestDatabase
from tests.agency import Agency, gateway, providers_of, scan
from tests.contract.postgrest_server import ANON_KEY, SERVICE_KEY, postgrest_server
from tests.identities import person_of
from tests.waiting import eventually


@pytest.fixture
def rest(database_url: str, agency: Agency) -> Iterator[RestDatabase]:
    """The same database over HTTP, which knows the manager's token."""
    person = person_of(agency.manager)
    with postgrest_server(database_url, {person.token: person.claims}) as address:
        database = RestDatabase(address, SERVICE_KEY, anon_key=ANON_KEY)
        yield database
        database.close()


def test_a_number_is_paired_heard_and_ended_over_rest(
    agency: Agency, rest: RestDatabase, evolution: EvolutionSimulator
) -> None:
    """Dialog, webhooks, health duty and leftovers: each of their calls travels as JSON too."""
    client, theirs = agency.clients[0], rest.as_person(person_of(agency.manager))
    name = agency.name(client)
    with gateway(rest, evolution) as served, Connections(rest, served.settings) as them:
        assert them.connect(theirs, client).is_under_way
        scan(evolution, name)
        eventually(lambda: them.look(theirs, client).pairing_state == "connected", timeout=3)
        assert agency.status(client) == "connected"
        evolution.control("inbound", instance=name, **{"from": "5511966660001", "text": "SAIR"})
        stops = "select opted_in_at from messaging.opt_outs"
        eventually(lambda: agency.db.rows(stops) == [{"opted_in_at": None}])
        evolution.control("device_removed", instance=name)
        eventually(lambda: agency.status(client) == "disconnected", timeout=2)
        with providers_of(served.settings) as providers:
            assert HealthDuty(rest, providers, every_s=0).run_once() == 1
        assert not them.status(theirs, client).connected
        assert them.disconnect(theirs, client)
        assert them.remove_leftovers() == 0
        assert agency.status(client) is None
