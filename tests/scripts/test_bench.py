"""`roleta bench`: each bench runs at a tiny size and leaves the figures that it promises."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from scripts.bench import allocate, claim, pace
from scripts.bench.commands import bench
from scripts.bench.ground import NotThrowAway
from scripts.bench.report import Report
from tests.servers import fresh_database

pytestmark = pytest.mark.slow

Json = dict[str, Any]
COMMON = {"bench", "quick", "seed", "date", "commit", "machine", "versions", "rows", "targets", "notes"}


@pytest.fixture
def measured(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Result, Json]]:
    """Run one bench at its tiny size on an empty database; what it said and what it wrote."""
    monkeypatch.setattr(allocate, "QUICK_SIZES", allocate.TINY_SIZES)
    monkeypatch.setattr(claim, "QUICK_DEPTHS", claim.TINY_DEPTHS)
    monkeypatch.setattr(pace, "QUICK", pace.TINY)

    def run(name: str) -> tuple[Result, Json]:
        file = tmp_path / f"{name}.json"
        with fresh_database(server_url) as url:
            arguments = [name, "--quick", "--database-url", url, "--json", str(file), "--seed", "7"]
            result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found: Json = json.loads(file.read_text())
        assert set(found) == COMMON
        assert (found["bench"], found["quick"], found["seed"]) == (name, True, 7)
        assert url.rpartition("@")[0] not in file.read_text() + result.output
        return result, found

    return run


@pytest.mark.slow
def test_allocate_compares_ours_with_the_naive_way(measured: Callable[[str], tuple[Result, Json]]) -> None:
    """Speeds and over-allocations of both, and ours gives away no seat too many and leaves none empty."""
    result, found = measured("allocate")
    (row,) = found["rows"]
    assert row["ours_per_s"] > 0
    assert row["naive_per_s"] > 0
    assert row["ours_over_allocated"] == row["ours_seats_left_empty"] == 0
    assert row["naive_over_allocated"] >= 0
    assert all(target["met"] for target in found["targets"])
    assert "32 clients" in result.output


@pytest.mark.slow
def test_claim_tells_buffers_and_pairs_a_second(measured: Callable[[str], tuple[Result, Json]]) -> None:
    """A row per depth with exact buffers, and the flatness as a target that is judged."""
    _, found = measured("claim")
    (row,) = found["rows"]
    assert row["buffers_per_claim"] > 10
    assert row["pairs_per_s_1_worker"] > 0
    assert row["pairs_per_s_4_workers"] > 0
    assert found["targets"] == [
        {
            "what": "buffers of a claim of 10, deepest to shallowest queue, 500 numbers",
            "found": 1.0,
            "at_most": claim.FLAT_WITHIN,
            "met": True,
        }
    ]


def test_pace_compares_the_makespan_with_the_ideal_and_the_seed(
    measured: Callable[[str], tuple[Result, Json]],
) -> None:
    """Ours lies a little over the ideal, the sleeping loop far over it, and no pause is under 25 s."""
    _, found = measured("pace")
    ours, ideal, seed = (row["beside_ideal"] for row in found["rows"])
    assert ideal == 1.0
    assert 1.0 <= ours < 1.2
    assert seed > 3.0
    assert all(target["met"] for target in found["targets"])


def test_webhook_measures_a_real_gateway(measured: Callable[[str], tuple[Result, Json]]) -> None:
    """Requests a second, median and 99th percentile, and every answered event is stored."""
    _, found = measured("webhook")
    (row,) = found["rows"]
    assert row["requests"] > 0
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert all(target["met"] for target in found["targets"])


def test_a_missed_target_is_shown_as_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """A figure over its target says MISSED, in the file too."""
    report = Report("example", quick=True, seed=1)
    report.target("a ratio", 1.5, 1.25)
    report.show(Console(width=100))
    assert "MISSED: a ratio: 1.5 (target: at most 1.25)" in capsys.readouterr().out
    assert report.targets[0]["met"] is False


def test_a_database_that_holds_something_is_refused(database_url: str, tmp_path: Path) -> None:
    """A bench never writes into a database that anybody uses."""
    result = CliRunner().invoke(
        bench, ["pace", "--quick", "--database-url", database_url, "--json", str(tmp_path / "x.json")]
    )
    assert isinstance(result.exception, NotThrowAway)
    assert "give it one that is empty" in str(result.exception)
    assert not (tmp_path / "x.json").exists()
