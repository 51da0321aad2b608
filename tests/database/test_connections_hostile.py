"""Connections where something was killed, lost or taken at the worst moment."""

from contextlib import closing

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.db import Database
from shared.errors import SettingsError
from shared.provider_side import ProviderSide
from shared.providers.base import ProviderError
from shared.providers.evolution import EvolutionClient
from shared.providers.transport import open_http
from shared.settings import Settings
from tests.agency import Agency, Gateway, connected, pair, scan, shown
from tests.contract.evolution_replies import Replies, state
from tests.contract.scripted_server import ScriptedServer
from tests.waiting import eventually


def open_at_the_provider(evolution: EvolutionSimulator, name: str, phone: str) -> None:
    """Somebody's phone, paired past us under this name."""
    with closing(EvolutionClient(name, evolution.key, base_url=evolution.base_url)) as somebody:
        somebody.create()
        somebody.connect()
        scan(evolution, name, phone)
        eventually(lambda: somebody.state().connected)


def test_another_phone_is_known_also_where_the_events_are_lost(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """A client who comes back with another phone: the row never goes on naming the one before."""
    client = agency.clients[0]
    evolution.control("webhooks", mode="lost")
    pair(agency, evolution, served.settings, client, phone="5511977770001")
    evolution.control("device_removed", instance=agency.name(client))
    assert not them.status(agency.as_manager, client).connected
    them.connect(agency.as_manager, client)
    scan(evolution, agency.name(client), "5511977770002")
    connected(them, agency, client)
    assert (agency.connection(client) or {})["phone_number"] == "5511977770002"


def test_another_phone_is_known_to_whoever_asks_for_the_status(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """As above, where nobody's dialog was open any more."""
    client = agency.clients[0]
    evolution.control("webhooks", mode="lost")
    pair(agency, evolution, served.settings, client, phone="5511977770001")
    evolution.control("device_removed", instance=agency.name(client))
    pair(agency, evolution, served.settings, client, phone="5511977770002")
    assert (agency.connection(client) or {})["phone_number"] == "5511977770002"


def test_phone_of_a_number_that_was_open_already_is_known_at_once(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """A leftover instance that is open with a phone which another number of ours has: found out by the very
    connect that takes it over, or that phone would be written from at twice the pace."""
    first, second = agency.clients
    pair(agency, evolution, served.settings, first, phone="5511977770009")
    eventually(lambda: (agency.connection(first) or {})["phone_number"])
    open_at_the_provider(evolution, agency.name(second), "5511977770009")
    assert them.connect(agency.as_manager, second).already_connected
    row = agency.connection(second) or {}
    assert (row["phone_number"], row["halted_reason"]) == ("5511977770009", "phone_in_use")


def test_number_is_heard_where_its_connect_was_killed_halfway(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """A gateway that dies between the create and the webhook: whoever looks on goes on with both. Without it
    no stop and no end would ever be heard of a number that looks well."""
    client = agency.clients[0]
    name = agency.name(client)
    agency.as_manager.call("messaging.begin_connection", p_client_id=client)
    with closing(EvolutionClient(name, evolution.key, base_url=evolution.base_url)) as killed:
        killed.create()
    shown(them, agency, client)
    scan(evolution, name)
    connected(them, agency, client)
    evolution.control("device_removed", instance=name)
    eventually(lambda: agency.status(client) == "disconnected", timeout=2)


def test_number_of_which_the_provider_has_a_row_alone_is_paired_anew(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Believed open, and nothing in the server's memory (evolution contract 4): connect must not make the
    instance anew, throw its code away, and go on saying connected."""
    client = agency.clients[0]
    pair(agency, evolution, served.settings, client)
    evolution.control("missing_state", instance=agency.name(client))
    begun = them.connect(agency.as_manager, client)
    assert not begun.already_connected and begun.is_under_way
    assert agency.status(client) == "disconnected"
    shown(them, agency, client)
    scan(evolution, agency.name(client))
    connected(them, agency, client)


def test_state_that_nobody_has_seen_yet_is_not_taken_for_a_remnant(agency: Agency) -> None:
    """A later server may have more words than three: what may be somebody's paired phone is not deleted."""
    replies = Replies(get_connectionState=[state("syncing")])
    with ScriptedServer(replies) as server:
        replies.server = server
        settings = Settings(evolution_url=server.base_url, evolution_key="a-key-of-nobody")
        with Connections(agency.db, settings) as them, pytest.raises(ProviderError, match="do not know"):
            them.connect(agency.as_manager, None)
    assert set(replies.asked) == {"get_connectionState"}


@pytest.mark.parametrize(
    ("evolution_url", "gateway_host"),
    [
        ("https://evolution.example.com", "127.0.0.1"),
        ("http://evolution:8080", "::"),
        ("http://10.0.0.7:8080", "::1"),
    ],
)
def test_provider_that_could_not_reach_us_is_told_before_a_phone_is_paired(
    agency: Agency, evolution_url: str, gateway_host: str
) -> None:
    """Its events would go to its own loopback address: no stop would be heard, and nothing would say so."""
    settings = Settings(evolution_url=evolution_url, evolution_key="a-key", gateway_host=gateway_host)
    with Connections(agency.db, settings) as them, pytest.raises(SettingsError, match="ROLETA_PUBLIC_URL"):
        them.connect(agency.as_manager, None)
    assert agency.status(None) is None


def test_address_for_webhooks_is_one_also_with_ipv6(db: Database) -> None:
    """A host with colons stands in brackets."""
    settings = Settings(gateway_host="::1", gateway_port=8000)
    with open_http() as http:
        found = ProviderSide(db, settings, http).webhook_url
    assert found == "http://[::1]:8000/functions/v1/webhook-evolution"
