"""R12: after a provider that failed at almost every send, evidence settles what it can, and is never wrong
where something reached us."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import log
from shared.credentials import KeyRing
from shared.db import Database
from shared.dispatcher import Providers
from shared.reconcile import Reconciler
from tests.database.aftermath import LATEST_S, Aftermath
from tests.database.world import BentClock, World

NUMBERS = 10


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Z-API with ten numbers; its log is the judge."""
    with SimulatorProcess(log=tmp_path / "log", instances=NUMBERS) as process:
        yield process


@pytest.mark.parametrize(
    ("messages", "looks_at_s"),
    [
        pytest.param(120, (450, 961)),
        pytest.param(
            1_200,
            (450, 961),
            marks=[pytest.mark.slow, pytest.mark.scoreboard("R12", tier="landing")],
        ),
    ],
)
def test_evidence_settles_unknowns_and_never_says_unsent_of_what_was_sent(
    *,
    world: World,
    db: Database,
    simulator: SimulatorProcess,
    bent_clock: BentClock,
    messages: int,
    looks_at_s: tuple[int, ...],
) -> None:
    """Nineteen sends of twenty fail ambiguously, half of them sent. Events come up to 15 minutes late,
    shuffled, 5 % lost, under both forms of the phones, among messages typed by hand: at least 99 % of what
    was sent and told of is confirmed; under hold nothing of it is called unsent; resend_once doubles only
    what nothing told of."""
    after = Aftermath(world, db, simulator, bent_clock)
    providers = Providers(zapi_base_url=simulator.base_url, max_connections=24, ring=KeyRing())
    reconciler = Reconciler(db, providers, log.get())
    after.send(messages, providers)
    # What was accepted after a resend tells of nothing that is uncertain.
    first_sends = len(simulator.accepted())
    events, passed = after.events(), 0.0
    for at_s in looks_at_s:
        after.tell([event for event in events if passed <= event[0] < at_s])
        bent_clock.forward(at_s - passed)
        passed = at_s
        reconciler.run_once(everything=True)
    assert events[-1][0] <= LATEST_S < passed
    after.dispatch(providers)
    providers.close()
    outcome = after.outcome(first_sends)
    outcome.check()
    assert len(outcome.unknown) > 0.9 * messages
    assert 0.3 < len(outcome.unknown & outcome.sent) / len(outcome.unknown) < 0.7
    # Silence does speak of what was not sent, or the above would be empty.
    assert len(outcome.called_unsent) > 0.7 * len(outcome.unknown - outcome.sent - outcome.held)
