"""The sample agency from one `roleta up` to the next, and from one terminal to the other."""

import datetime
import os
from pathlib import Path

import pytest

from scripts import run_file
from scripts.commands.simulator import play_phone
from scripts.commands.surroundings import Surroundings
from scripts.sample_agency import MANAGER, client_id, found
from scripts.simulator.ad_platform import AdPlatformSimulator
from shared.db import Database
from shared.errors import Conflict
from tests.agency import Agency
from tests.keys import KEYS, RING
from tests.scripts.roleta import Roleta

TODAY = datetime.date(2026, 11, 22)
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def sample(db: Database, database_url: str) -> Agency:
    """The sample's agency, its first client connected."""
    found(database_url, TODAY, ad_platform_token="first", ring=RING)
    agency = Agency(db, MANAGER, [client_id(0)])
    begun = agency.as_manager.call_one("messaging.begin_connection", p_client_id=client_id(0))
    db.call("messaging.record_health", p_instance_id=begun["instance_id"], p_connected=True)
    assert agency.status(client_id(0)) == "connected"
    return agency


def running(home: Path, database_url: str, *, meta_url: str | None = None) -> None:
    """This very process in place of an `up`."""
    run_file.state_folder(home)
    run = run_file.Run(
        pid=os.getpid(),
        born=run_file.born(os.getpid()),
        database_url=database_url,
        gateway=NOWHERE,
        simulator_url=None,
        evolution_url=NOWHERE,
        children={},
        meta_url=meta_url,
        credentials_keys=KEYS,
    )
    run_file.write(home, run)


def test_a_phone_of_an_earlier_run_is_not_called_connected(sample: Agency, database_url: str) -> None:
    """Each run has a simulator of its own, with no phone: the page says so from the first look on, and nobody
    is written to through a number that is not there."""
    found(database_url, TODAY + datetime.timedelta(days=1), ad_platform_token="second", ring=RING)
    assert sample.status(client_id(0)) == "disconnected"


def test_a_simulator_that_does_not_answer_is_one_line(
    sample: Agency, database_url: str, tmp_path: Path
) -> None:
    """Such as while `up` ends."""
    running(tmp_path, database_url)
    around = Surroundings(given_url=None, home=tmp_path, env_file=tmp_path / "none")
    for deed in ("scan", "remove"):
        with pytest.raises(Conflict, match="does not answer"):
            play_phone(around, deed, "padaria")


def test_a_run_in_another_terminal_asks_the_sample_s_own_ad_platform(
    sample: Agency, bare_roleta: Roleta, database_url: str
) -> None:
    """Never the real one, with a token that we invented."""
    with AdPlatformSimulator() as platform:
        running(bare_roleta.home, database_url, meta_url=platform.url)
        assert "looked at: 4 error" in bare_roleta.well("run", "check-balance-alerts", "--dry-run")
        assert len(platform.asked) == 4
