"""`roleta reconcile`: what is uncertain, what was found, and what is left for a person."""

import json
from uuid import UUID

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import outbox
from shared.db import Database
from tests.keys import entry
from tests.scripts.roleta import Roleta


@pytest.fixture
def uncertain(db: Database, aura: UUID) -> int:
    """A message that was begun and ended as unknown."""
    message = outbox.enqueue(
        db, purpose="direct", phone="5511980000001", dedupe_key="key", enqueued_by="test", text="Bom dia"
    ).message_id
    claimed = db.call_one("messaging.claim", p_worker="w", p_limit=1)
    begun = db.call_one(
        "messaging.begin_attempt", p_message_id=message, p_lease_token=claimed["lease_token"], p_worker="w"
    )
    db.call("messaging.record_attempt", p_attempt_id=begun["attempt_id"], p_outcome="unknown")
    return message


def test_without_any_it_says_so(roleta: Roleta, aura: UUID) -> None:
    """Nothing is uncertain: two lines, no table."""
    looked, left = roleta.well("reconcile").splitlines()
    assert looked.startswith("looked at 0: 0 confirmed as sent")
    assert left == "0 are uncertain"


def test_it_asks_shows_and_may_be_run_again(
    roleta: Roleta, simulator: SimulatorProcess, uncertain: int
) -> None:
    """The provider was asked and has none; the message stays for a person, shown with its last digits."""
    address = {"ROLETA_ZAPI_BASE_URL": simulator.base_url}
    for _ in range(2):
        shown = roleta.well("reconcile", **address)
        assert "looked at 1: 0 confirmed" in shown
        assert "…0001" in shown
        assert "provider_queue" in shown
        assert "5511980000001" not in shown
    told = json.loads(roleta.well("reconcile", "--json", **address))
    assert (told["looked_at"], told["still_unknown"], told["not_asked"]) == (1, 1, {})
    assert [row["message_id"] for row in told["unknown"]] == [uncertain]
    why = roleta.well("why", str(uncertain))
    assert "a person decides" in why
    assert "the provider's queue holds none" in " ".join(why.split())


def test_a_provider_that_is_away_is_named(roleta: Roleta, uncertain: int) -> None:
    """Said in a sentence, without a secret; nothing is concluded."""
    shown = roleta("reconcile", ROLETA_ZAPI_BASE_URL="http://127.0.0.1:9").stdout
    assert "Aura #1 was not asked: unreachable" in shown
    assert "token" not in shown.lower()


def test_a_provider_that_could_not_be_asked_is_a_failure(roleta: Roleta, uncertain: int) -> None:
    """Exit code 1, in both forms, so that a script sees it; none where everybody was asked, or nobody had to
    be."""
    away = {"ROLETA_ZAPI_BASE_URL": "http://127.0.0.1:9"}
    assert roleta("reconcile", **away).exit_code == 1
    told = roleta("reconcile", "--json", **away)
    assert (told.exit_code, list(json.loads(told.stdout)["not_asked"])) == (1, ["Aura #1"])


def test_a_number_whose_credentials_are_sealed_is_asked(
    roleta: Roleta, simulator: SimulatorProcess, uncertain: int
) -> None:
    """The keys open what they sealed, as they do for the workers; without the key that is the reason."""
    roleta.well("encrypt-credentials", "--yes")
    address = {"ROLETA_ZAPI_BASE_URL": simulator.base_url}
    assert "not asked" not in roleta.well("reconcile", **address)
    assert "provider_queue" in roleta.well("reconcile", **address)
    without = roleta("reconcile", **address, ROLETA_CREDENTIALS_KEYS=entry("another"))
    assert without.exit_code == 1 and "which ROLETA_CREDENTIALS_KEYS does not have" in without.stdout
