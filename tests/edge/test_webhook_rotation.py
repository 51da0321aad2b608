"""`roleta instance rotate-webhook` of a number at Evolution API: over the simulator and the gateway."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared import instances, webhook_auth
from shared.db import Database
from shared.providers.evolution import EvolutionClient
from tests.agency import Agency, Gateway, pair
from tests.edge.evolution_events import Line
from tests.scripts.roleta import Roleta

pytestmark = [pytest.mark.slow, pytest.mark.scoreboard("S1", tier="landing")]


def secret_there(evolution: EvolutionSimulator, name: str) -> str:
    """The secret that the provider sends along now."""
    row = {"evolution_instance_name": name, "provider": "evolution"}
    client = EvolutionClient.from_instance(row, base_url=evolution.base_url, api_key=evolution.key)
    try:
        webhook = client.find_webhook()
    finally:
        client.close()
    assert webhook is not None
    return str(webhook.headers["x-roleta-webhook"])


def test_rotating_keeps_both_live_until_the_previous_is_revoked(
    *,
    agency: Agency,
    evolution: EvolutionSimulator,
    served: Gateway,
    db: Database,
    database_url: str,
    tmp_path: Path,
) -> None:
    """The provider gets the new secret in the header; what is under way with the old one is believed, until
    --revoke-previous. A provider that is away changes nothing."""
    number = pair(agency, evolution, served.settings, None)
    name = agency.name(None)
    roleta = Roleta(
        tmp_path,
        DATABASE_URL=database_url,
        EVOLUTION_API_URL=evolution.base_url,
        EVOLUTION_API_KEY=evolution.key,
        ROLETA_GATEWAY_PORT=str(urlsplit(str(served.http.base_url)).port),
    )
    old = secret_there(evolution, name)

    assert "with a new secret" in roleta.well("instance", "rotate-webhook", str(number))
    new = secret_there(evolution, name)
    assert new != old and instances.webhook_token_hash(db, number) == webhook_auth.hash_token(new)

    def accepted(secret: str) -> int:
        line = Line(served.http, db, number, name, secret)
        return line.post(*line.said("oi")).status_code

    assert [accepted(secret) for secret in (old, new)] == [200, 200]
    assert "alone" in roleta.well("instance", "rotate-webhook", str(number), "--revoke-previous")
    assert [accepted(secret) for secret in (old, new)] == [401, 200]
    assert "no webhook secret but" in roleta.well(
        "instance", "rotate-webhook", str(number), "--revoke-previous"
    )

    away = roleta("instance", "rotate-webhook", str(number), EVOLUTION_API_URL="http://127.0.0.1:1")
    assert away.exit_code == 1 and "could not be set" in away.stdout
    assert accepted(new) == 200 and secret_there(evolution, name) == new
    assert "did not confirm" in roleta.refused("instance", "rotate-webhook", str(number), "--revoke-previous")
