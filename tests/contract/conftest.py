"""Fixtures of the contract suite: each provider against a scripted server, and the simulator as a process."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorProcess
from shared.providers.base import Provider
from shared.providers.transport import open_http
from shared.providers.zapi import ZApiClient
from tests.contract.adapters import ADAPTERS, Adapter
from tests.contract.evolution_calls import GLOBAL_KEY, EvolutionCalls
from tests.contract.receiver import Receiver
from tests.contract.scripted_server import Behaviour, ScriptedServer

TIMEOUT_S = 0.5

Script = Callable[[Behaviour], ScriptedServer]
Make = Callable[[str], Provider]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each provider in turn."""
    chosen: Adapter = request.param
    return chosen


@pytest.fixture
def script() -> Iterator[Script]:
    """Start servers that behave as told; all of them end with the test."""
    with ExitStack() as stack:
        yield lambda behave: stack.enter_context(ScriptedServer(behave))


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """The shared client, with short patience for connecting."""
    with open_http(max_connections=4, connect_timeout_s=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def make(adapter: Adapter, http: httpx.Client) -> Make:
    """The provider at an address, with half a second for a whole send."""
    return lambda base_url: adapter.make(base_url, http, TIMEOUT_S)


@pytest.fixture
def no_leak(adapter: Adapter, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No record of any logger, at any level, holds a secret of the provider."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield
    for record in caplog.get_records("call"):
        said = f"{record.getMessage()} {record.exc_text} {record.args!r}"
        assert not [secret for secret in adapter.secrets if secret in said]


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator process for the suite."""
    with SimulatorProcess(log=tmp_path_factory.mktemp("simulator") / "log.jsonl", instances=2) as process:
        yield process


@pytest.fixture
def simulator(simulator_process: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """Z-API, simulated, as new: two numbers, no pause in its queue. It must not complain."""
    simulator_process.control("reset", everything=True)
    simulator_process.control("options", queue_interval_s=0)
    before = simulator_process.complaints()
    yield simulator_process
    assert simulator_process.complaints() == before


@pytest.fixture
def zapi(simulator: SimulatorProcess, http: httpx.Client) -> ZApiClient:
    """A client for the simulator's first number."""
    return client_of(simulator, http, 0)


@pytest.fixture(scope="session")
def evolution_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvolutionSimulator]:
    """One Evolution server for the suite, 200 times as fast as a real one."""
    log = tmp_path_factory.mktemp("evolution") / "log.jsonl"
    with EvolutionSimulator(log=log, key=GLOBAL_KEY, speed=200) as process:
        yield process


@pytest.fixture
def evolution(evolution_process: EvolutionSimulator) -> Iterator[EvolutionCalls]:
    """Evolution, simulated, as new: no instance, QR codes that stay. It must not complain."""
    evolution_process.control("reset", everything=True)
    evolution_process.control("options", qr_life_s=1e6)
    before = evolution_process.complaints()
    with EvolutionCalls(evolution_process) as calls:
        yield calls
    assert evolution_process.complaints() == before


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somewhere for webhooks to go."""
    with Receiver() as running:
        yield running


def client_of(simulator: SimulatorProcess, http: httpx.Client, index: int) -> ZApiClient:
    """A client for one of the simulator's numbers."""
    one = simulator.instances()[index]
    return ZApiClient(
        one["id"], one["token"], one["client_token"], base_url=simulator.base_url, http=http, timeout_s=5.0
    )
