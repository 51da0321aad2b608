"""The four combinations of a database and a provider that are ours or real."""

import dataclasses
from pathlib import Path

import pytest

from scripts.launch import Arrangement, arrange, pace_line, what_starts
from scripts.people import SAMPLE
from shared.errors import SettingsError
from shared.settings import Settings

NOTHING = Settings()
REAL_DATABASE = Settings(database_url="postgresql://example.com/app")
REAL_PROVIDER = Settings(zapi_instance_id="A", zapi_token="B", zapi_client_token="C")
BOTH_REAL = dataclasses.replace(REAL_PROVIDER, database_url=REAL_DATABASE.database_url)
ANY_REAL = pytest.mark.parametrize("real", [REAL_PROVIDER, REAL_DATABASE, BOTH_REAL])
MINE = Path("mine.csv")


def _arranged(
    settings: Settings = NOTHING, *, speed: float | None = None, people: Path | None = None
) -> Arrangement:
    return arrange(settings, speed=speed, people=people)


def test_nothing_set_is_the_sample_run() -> None:
    """Server and simulator are ours: the sample is posted without a question, twenty times as fast."""
    assert _arranged() == Arrangement("ours", "ours", "roleta_sample", SAMPLE, False, 20)


def test_nothing_set_takes_other_people_without_a_question() -> None:
    """Nobody real can be reached through the simulator, so --people needs no question there."""
    arranged = _arranged(speed=1, people=MINE)

    assert (arranged.people, arranged.asks, arranged.speed) == (MINE, False, 1)


def test_a_real_number_alone_gets_a_database_apart_from_the_sample() -> None:
    """ZAPI_* alone: our server, but never the database that holds invented people and simulated numbers."""
    assert _arranged(REAL_PROVIDER) == Arrangement("ours", "real", "roleta", None, False, 1)


def test_a_real_database_alone_starts_no_simulator() -> None:
    """DATABASE_URL alone: its numbers are real ones, so no simulator and no sample."""
    assert _arranged(REAL_DATABASE) == Arrangement("real", "real", None, None, False, 1)


def test_both_real_start_nothing_of_ours() -> None:
    """DATABASE_URL and ZAPI_*: gateway and worker only."""
    assert _arranged(BOTH_REAL) == Arrangement("real", "real", None, None, False, 1)


@ANY_REAL
def test_people_are_asked_for_where_anything_is_real(real: Settings) -> None:
    """--people with either one real: only after a question."""
    arranged = _arranged(real, people=MINE)

    assert (arranged.people, arranged.asks, arranged.is_sample) == (MINE, True, False)


@ANY_REAL
def test_speed_is_for_the_sample_run__refused(real: Settings) -> None:
    """No real number is ever hurried."""
    with pytest.raises(SettingsError, match="real"):
        _arranged(real, speed=20)
    assert _arranged(real, speed=1).speed == 1


@pytest.mark.parametrize("speed", [0, -1, 0.5, float("nan"), float("inf"), 10_001])
def test_a_speed_that_is_none__refused(speed: float) -> None:
    """A speed is a number from 1 on."""
    with pytest.raises(SettingsError, match="--speed"):
        _arranged(speed=speed)


def test_the_screen_says_which_pace_is_in_force() -> None:
    """A hurried run says so, and what the real pace is."""
    assert pace_line(_arranged()) == (
        "--speed 20: gaps 1.25-2.25 s instead of 25-45 s; --speed 1 is the real pace"
    )
    assert "25-45 s" in pace_line(_arranged(speed=1))


def test_a_run_with_anything_real_says_so_first() -> None:
    """Before anything starts a person reads whose database, which numbers, and that nobody is signed up."""
    lines = what_starts(_arranged(REAL_DATABASE), REAL_DATABASE)

    assert "DATABASE_URL" in lines[0]
    assert "real people" in lines[0]
    assert "nobody is signed up" in lines[1]
    assert what_starts(_arranged(), NOTHING) == []
