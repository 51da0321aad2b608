"""Connections with every version of the provider's server, and with webhooks as they come in life."""

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.db import Database
from tests.agency import (
    Agency,
    Gateway,
    connected,
    look_at_health,
    pair,
    provider_state,
    scan,
    shown,
)
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["2.3.6", "2.3.7", "2.4.0"])
def test_life_is_the_same_with_every_version_of_the_server(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway, profile: str
) -> None:
    """Paired, removed by the phone, paired again, ended, banned: whatever differs between versions."""
    client = agency.clients[0]
    evolution.control("server", profile=profile)
    number = pair(agency, evolution, served.settings, client)
    evolution.control("device_removed", instance=agency.name(client))
    eventually(lambda: agency.status(client) == "disconnected", timeout=2)
    assert pair(agency, evolution, served.settings, client) == number
    them.disconnect(agency.as_manager, client)
    assert (agency.status(client), provider_state(evolution, agency.name(client))) == (None, None)
    assert pair(agency, evolution, served.settings, client) == number
    evolution.control("ban", instance=agency.name(client))
    eventually(lambda: agency.status(client) == "disconnected", timeout=2)
    them.connect(agency.as_manager, client)
    scan(evolution, agency.name(client))
    eventually(lambda: them.look(agency.as_manager, client).pairing_state == "refused", timeout=3)


@pytest.mark.parametrize("mode", ["doubled", "late"])
def test_doubled_and_late_webhooks_lead_to_the_same_end(
    agency: Agency, db: Database, evolution: EvolutionSimulator, served: Gateway, mode: str
) -> None:
    """Events come at least once and in any order (evolution contract 1.9): each end is stored once, and after
    everything has arrived the row says what the provider says."""
    evolution.control("webhooks", mode=mode, seconds=0.2)
    number = pair(agency, evolution, served.settings, None)
    evolution.control("device_removed", instance=agency.name(None))
    eventually(lambda: agency.status(None) == "disconnected")
    pair(agency, evolution, served.settings, None)
    eventually(lambda: evolution.control("counters")["background_tasks"] == 0)
    look_at_health(db, served.settings)
    assert agency.status(None) == "connected"
    told = db.rows(
        "select payload ->> 'event' as event, count(*) as n from messaging.inbound_events"
        " where kind = 'disconnected' group by 1"
    )
    assert told and {row["n"] for row in told} == {1}
    assert number == (agency.connection(None) or {})["instance_id"]


def test_server_without_network_is_waited_for(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """It answers `count: 0` and says "connecting" twenty times a second (evolution contract 1.14): the dialog
    waits, tells after a minute, opens no second socket, and shows the code as soon as there is one."""
    evolution.control("unreachable", events_per_second=20)
    assert them.connect(agency.as_manager, None).pairing_state == "connecting"
    for _ in range(3):
        db.rows("update messaging.pairings set asked_at = null returning 1")
        seen = them.look(agency.as_manager, None)
        assert (seen.pairing_state, seen.code, seen.trouble) == ("connecting", None, None)
    db.rows("update messaging.pairings set limit_at = limit_at - interval '61 s' returning 1")
    assert them.look(agency.as_manager, None).trouble == "no_code"
    assert evolution.control("counters")["sockets"] == 1
    evolution.control("unreachable", on=False)
    shown(them, agency, None)
    scan(evolution, agency.name(None))
    connected(them, agency, None)
