"""`roleta soak` as a person runs it: small, to its end, and ended early."""

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.roleta import Roleta, ended
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SMALL = ["soak", "--workers", "2", "--numbers", "40", "--seed", "11"]
WORDS = ("lost", "duplicated", "unexpected", "recovered")


@pytest.fixture
def its_place() -> Iterator[Path]:
    """Where its temporary folders are made; the server's account passes through."""
    place = Path(tempfile.mkdtemp(prefix="roleta-soak-test-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_a_small_soak_keeps_every_promise_and_leaves_nothing(tmp_path: Path, its_place: Path) -> None:
    """Kills, a stop of the database, faults and receipts: exit code 0, the four words with their figures, the
    figures as JSON, and no file left behind."""
    figures = tmp_path / "soak.json"
    words = [*SMALL, "--messages", "300", "--kills", "2", "--database-stops", "1", "--json", str(figures)]
    foreign = {"DATABASE_URL": "postgresql://never.example/", "ZAPI_TOKEN": "never"}
    with ended(Roleta(tmp_path).started(*words, TMPDIR=str(its_place), **foreign)) as soak:
        assert soak.ends(240) == 0, soak.said
        assert all(word in soak.said for word in WORDS)
    found = json.loads(figures.read_text())
    assert [found[word] for word in WORDS[:3]] == [0, 0, 0]
    assert (found["kills"], len(found["workers_back_s"]), found["stuck"]) == (2, 1, 0)
    assert found["soak"]["seed"] == 11
    assert 0 < found["became_unknown"] <= found["unknown_at_most"]
    assert found["recognisable_recovered"] == found["recognisable"] > 0
    assert found["smallest_gap_s"] >= 0.249
    assert (found["broken"], found["audit_findings"]) == ([], [])
    assert sum(found["states"].values()) == 300
    assert list(its_place.iterdir()) == []


def test_ctrl_c_ends_it_with_a_verdict_so_far(tmp_path: Path, its_place: Path) -> None:
    """The workers end what they have in hand, what was sent is judged, exit code 130, nothing is left."""
    words = [*SMALL, "--messages", "5000", "--kills", "0"]
    with ended(Roleta(tmp_path).started(*words, TMPDIR=str(its_place))) as soak:
        soak.hears("of 5,000", 120)
        assert soak.asked_to_stop(signal.SIGINT, 60) == 130, soak.said
        assert "stopped early" in soak.said
        assert "broken" not in soak.said
    eventually(lambda: list(its_place.iterdir()) == [], 10, "its folder is gone")
