"""Looking for evidence with real providers: what is found, what is done about it, by how many workers."""

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorProcess
from shared import clock, log
from shared.credentials import KeyRing
from shared.db import Database
from shared.dispatcher import Providers
from shared.providers.base import Content, Outcome
from shared.providers.zapi import ZApiClient
from shared.reconcile import Findings, Reconciler
from shared.settings import Settings
from shared.worker import Worker
from tests.contract.evolution_calls import GLOBAL_KEY, EvolutionCalls
from tests.database.conftest import Worlds
from tests.database.sessions import Waiting, all_at_once
from tests.database.test_decisions import DECIDE, decisions
from tests.database.uncertain import PERSON, evidence, gather, heard, outgoing, uncertain
from tests.database.world import HOUR_S, BentClock, Connect, World

NAME = "adscape_c_0123456789abcdef"
CONFLICT = "WP004"
Said = list[dict[str, Any]]


@pytest.fixture(scope="module")
def zapi_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """Z-API with one number, for this module."""
    with SimulatorProcess(log=tmp_path_factory.mktemp("zapi") / "log", instances=1) as process:
        yield process


@pytest.fixture
def zapi(zapi_process: SimulatorProcess) -> SimulatorProcess:
    """The same as new."""
    zapi_process.control("reset", everything=True)
    return zapi_process


@pytest.fixture
def number(world: World, zapi: SimulatorProcess) -> uuid.UUID:
    """The simulator's number as one of ours."""
    one = zapi.instances()[0]
    return world.number(
        gap=(0, 0),
        zapi_instance_id=one["id"],
        zapi_token=one["token"],
        zapi_client_token=one["client_token"],
    )


@pytest.fixture
def said() -> Iterator[Said]:
    """What was logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


@pytest.fixture
def providers(zapi: SimulatorProcess) -> Iterator[Providers]:
    """The clients that a worker has."""
    made = Providers(zapi_base_url=zapi.base_url, max_connections=4, ring=KeyRing())
    yield made
    made.close()


@pytest.fixture
def reconciler(db: Database, providers: Providers, said: Said) -> Reconciler:
    """One worker's."""
    return Reconciler(db, providers, log.get())


def hand_over(world: World, providers: Providers, message: int) -> None:
    """What the lost answer was about: the provider does get the message."""
    row = world.rows(
        "select i.*, i.id as instance_id, o.phone, o.content from messaging.outbox as o"
        " join public.whatsapp_instances as i on i.id = o.instance_id where o.id = %s",
        message,
    )[0]
    report = providers(row).send(
        row["phone"], Content.from_json(row["content"]), deadline=clock.monotonic() + 5
    )
    assert report.outcome is Outcome.ACCEPTED


def test_what_waits_at_zapi_is_found_dropped_and_withdrawn_there(
    *, world: World, zapi: SimulatorProcess, number: uuid.UUID, providers: Providers, reconciler: Reconciler
) -> None:
    """Its queue holds it: known by its id, still uncertain; dropped, it is taken out there before the phone
    is back, and does not go out."""
    zapi.control("disconnect", instance_id=zapi.instances()[0]["id"])
    message = uncertain(world, number)
    hand_over(world, providers, message)
    assert reconciler.run_once(everything=True).still_unknown == 1
    assert evidence(world, message) == [("provider_queue", "waiting")]
    world.decide(message, "drop")
    assert reconciler.run_once(everything=True).withdrawn_at_provider == 1
    client = providers({**world.instance(number), "instance_id": number})
    assert isinstance(client, ZApiClient)
    assert list(client.queue()) == []
    assert reconciler.run_once(everything=True).withdrawn_at_provider == 0


def test_what_evolution_stored_as_sent_confirms(
    *, world: World, db: Database, tmp_path: Path, said: Said
) -> None:
    """The answer was lost, the message was not: found by person, time and text, and settled."""
    with EvolutionSimulator(log=tmp_path / "log", key=GLOBAL_KEY, speed=200) as evolution:
        with EvolutionCalls(evolution) as calls:
            calls.opened(NAME)
        world.client_numbers(1)
        number = world.value(
            "update public.whatsapp_instances set evolution_instance_name = %s, status = 'active'"
            " where provider = 'evolution' returning id",
            NAME,
        )
        world.value("select messaging.set_gaps(%s, 0, 0, 'test')", number)
        providers = Providers(
            zapi_base_url="http://127.0.0.1:9",
            max_connections=4,
            ring=KeyRing(),
            evolution_url=evolution.base_url,
            evolution_key=GLOBAL_KEY,
        )
        sent, lost = (uncertain(world, number, text) for text in ("Bom dia", "Boa noite"))
        hand_over(world, providers, sent)
        found = Reconciler(db, providers, log.get()).run_once(everything=True)
        providers.close()
    assert (found.looked_at, found.confirmed, found.still_unknown) == (2, 1, 1)
    assert (world.state(sent), evidence(world, sent)) == ("accepted", [("provider_search", "sent")])
    assert (world.state(lost), evidence(world, lost)) == ("unknown", [("provider_search", "nothing")])


def test_a_provider_that_cannot_be_asked_is_noted_and_proves_nothing(
    *, world: World, db: Database, said: Said, bent_clock: BentClock
) -> None:
    """No answer is not "nothing": no silence, no resend; and said in the log, without a secret."""
    number = world.number(gap=(0, 0))
    message = uncertain(world, number, on_unknown="resend_once")
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(HOUR_S)
    providers = Providers(zapi_base_url="http://127.0.0.1:9", max_connections=1, ring=KeyRing())
    found = Reconciler(db, providers, log.get()).run_once(everything=True)
    providers.close()
    assert list(found.not_asked) == [world.instance(number)["name"]]
    assert (world.state(message), evidence(world, message)) == ("unknown", [])
    assert "zapi-token" not in repr(said)


def test_resend_once_is_resent_once_by_any_number_of_workers(
    *, world: World, number: uuid.UUID, db: Database, providers: Providers, bent_clock: BentClock, said: Said
) -> None:
    """Four passes at once after recorded silence: one decision, one new attempt; again: nothing more."""
    message = uncertain(world, number, on_unknown="resend_once")
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(16 * 60)
    gate = threading.Barrier(4)
    found: list[Findings] = []

    def work() -> None:
        gate.wait(20)
        found.append(Reconciler(db, providers, log.get()).run_once(everything=True))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(each.resent for each in found) == 1
    assert [each[:2] for each in decisions(world, message)] == [("resend", "reconcile")]
    world.record(world.begun(message), p_provider_message_id="P2")
    assert Reconciler(db, providers, log.get()).run_once(everything=True).resent == 0


def test_a_pass_is_repeated_without_harm(world: World, number: uuid.UUID, reconciler: Reconciler) -> None:
    """The second finds what the first found, and adds no row."""
    confirmed, open_one = uncertain(world, number), uncertain(world, number, phone="5511955554444")
    outgoing(world, number, "P1")
    first, second = reconciler.run_once(everything=True), reconciler.run_once(everything=True)
    assert (first.looked_at, first.confirmed, first.still_unknown) == (2, 1, 1)
    assert (second.looked_at, second.confirmed, second.still_unknown) == (1, 0, 1)
    assert world.state(confirmed) == "accepted"
    assert evidence(world, open_one) == [("provider_queue", "nothing")]
    assert reconciler.run_once().looked_at == 0


def test_a_pass_over_more_than_one_page(world: World, number: uuid.UUID, reconciler: Reconciler) -> None:
    """However many are uncertain, each is looked at, and a pass ends."""
    world.rows(
        "select * from messaging.enqueue_many(%s)",
        json.dumps([world.wanted(number, purpose="answer") for _ in range(250)]),
    )
    while claimed := world.claim(200):
        for each in claimed:
            world.record(int(world.begin(each)["attempt_id"]), "unknown")
    assert reconciler.run_once(everything=True).looked_at == 250
    assert world.value("select count(*) from messaging.evidence") == 250


def test_the_hourly_run_is_taken_once_and_tells(
    *,
    world: World,
    number: uuid.UUID,
    db: Database,
    zapi: SimulatorProcess,
    bent_clock: BentClock,
    said: Said,
) -> None:
    """Of two workers one runs the hour's slot; what has been uncertain for an hour is said aloud, once."""
    settings = Settings(zapi_base_url=zapi.base_url)
    workers = [Worker(db, settings, name) for name in ("w1", "w2")]
    stop = threading.Event()
    for worker in workers:
        worker._hour(stop)
    message = uncertain(world, number)
    for _ in range(2):
        bent_clock.forward(2 * HOUR_S)
        for worker in workers:
            worker._hour(stop)
    for worker in workers:
        worker._providers.close()
        worker._agent.close()
    runs = world.rows("select * from messaging.schedule_runs where function_name = 'reconcile'")
    assert [(row["error"], row["answer"]["looked_at"]) for row in runs] == [(None, 1), (None, 1)]
    told = [line for line in said if line["event"].startswith("uncertain for an hour")]
    assert [(line["message_id"], line["log_level"]) for line in told] == [(message, "error")]


@pytest.mark.scoreboard("R10", tier="commit")
def test_a_receipt_before_a_decision_wins(world: World, another: Worlds) -> None:
    """The decision waits for the receipt's lock, and is refused: it is not uncertain any more."""
    number = world.number(gap=(0, 0))
    message = world.enqueue(number, phone=PERSON)
    world.record(world.begun(message), "unknown", p_provider_message_id="P1")
    receiver, person = another(), another()
    with receiver.connection.transaction():
        receiver.receipt(number, "P1", "delivered")
        waiting = Waiting(person, world, lambda: person.refusal(DECIDE, message, "resend", "Ana"))
        assert waiting.is_waiting
    assert waiting.result() == CONFLICT
    assert (world.state(message), decisions(world, message)) == ("accepted", [])


@pytest.mark.scoreboard("R10", tier="commit")
def test_a_receipt_after_a_decision_takes_the_resend_back(world: World, another: Worlds) -> None:
    """The receipt waits for the decision, then finds that the message is about to go again: it does not."""
    number = world.number(gap=(0, 0))
    message = world.enqueue(number, phone=PERSON)
    world.record(world.begun(message), "unknown", p_provider_message_id="P1")
    receiver, person = another(), another()
    with person.connection.transaction():
        person.decide(message, "resend")
        waiting = Waiting(receiver, world, lambda: receiver.receipt(number, "P1", "delivered"))
        assert waiting.is_waiting
    assert waiting.result() == message
    assert world.state(message) == "withdrawn"
    assert world.claim() == []


@pytest.mark.scoreboard("R10", tier="commit")
def test_of_many_decisions_at_once_one_counts(world: World, connect: Connect) -> None:
    """Eight people press at the same moment, whatever they press: one is told that it is done, seven that it
    is no longer uncertain."""
    message = uncertain(world, world.number(gap=(0, 0)))
    choices = ["resend", "consider_sent", "drop"]
    answers = all_at_once(
        [connect() for _ in range(8)],
        lambda session, place: session.refusal(DECIDE, message, choices[place % 3], f"person {place}"),
    )
    assert (answers.count(None), answers.count(CONFLICT)) == (1, 7)
    assert len(decisions(world, message)) == 1


@pytest.mark.scoreboard("R10", tier="commit")
def test_evidence_and_the_rule_at_once_send_nothing_twice(
    world: World, connect: Connect, bent_clock: BentClock
) -> None:
    """The echo arrives while others presume silence: the message is accepted or taken back, never sent
    again."""
    number = world.number(gap=(0, 0))
    message, at = uncertain(world, number, on_unknown="resend_once"), bent_clock.now()
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(16 * 60)
    world.rows(
        "select messaging.note_traces(array(select id from messaging.attempts), 'provider_queue', '[]')"
    )

    def act(session: World, place: int) -> None:
        if place == 0:
            outgoing(session, number, "P1", at=at)
            gather(session, message)
        else:
            session.value("select messaging.presume(%s)", message)

    all_at_once([connect() for _ in range(4)], act)
    gather(world, message)
    assert world.state(message) in ("accepted", "withdrawn")
    assert world.claim() == []
