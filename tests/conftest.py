"""Fixtures for every test: a server per test process, a migrated template, a clone of it per test.

What is not a fixture (servers, waiting) lives in tests/servers.py and tests/waiting.py.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import structlog
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor

from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.migrate import apply_all
from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.soak.surroundings import REAL_WORLD
from shared.db import Database
from tests.alone import TestsAlone
from tests.bytecode import compile_all
from tests.guard import sitecustomize
from tests.scoreboard import TIERS
from tests.servers import (
    SERVER_BINARIES,
    ServerForPlugin,
    audit_findings,
    clone_of,
    database_server,
    fresh_database,
)

# How long an example takes says something about the machine, not about the product.
hypothesis.settings.register_profile("roleta", deadline=None)
hypothesis.settings.load_profile("roleta")

ROOT = Path(__file__).resolve().parents[1]
LONGEST_SLEEP_S = 0.2
for _name in [name for name in os.environ if name.startswith(REAL_WORLD)]:
    del os.environ[_name]

# Compiling the tests anew in every process, with pytest's rewritten assertions, takes 3 s of each: where
# Python is told to leave no bytecode beside the sources, it lies in pytest's own cache, for our children too.
if sys.dont_write_bytecode and sys.pycache_prefix is None:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(ROOT / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def _bootstrap(*, host: str, port: int, user: str, password: str, dbname: str, **_: object) -> None:
    bootstrap_supabase(f"postgresql://{user}:{password}@{host}:{port}/{dbname}")


def _migrate(*, host: str, port: int, user: str, password: str, dbname: str, **_: object) -> None:
    apply_all(f"postgresql://{user}:{password}@{host}:{port}/{dbname}", say=lambda _: None)


bare_template = factories.postgresql_noproc(depends_on="server_for_plugin", dbname="bare", load=[_bootstrap])
migrated_template = factories.postgresql_noproc(
    depends_on="bare_template", dbname="migrated", load=[_migrate]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--tier: only the scoreboard's tests, up to this tier (tests/scoreboard.py)."""
    parser.addoption("--tier", choices=TIERS, help="only the scoreboard's tests up to this tier")


def pytest_configure(config: pytest.Config) -> None:
    """The markers that only the fixtures of these tests know; and for several processes, compiled tests."""
    is_one_of_several = hasattr(config, "workerinput")
    if config.getoption("numprocesses", None) and not is_one_of_several and not sys.dont_write_bytecode:
        compile_all(config, ROOT / "tests")
    config.pluginmanager.register(TestsAlone(config))
    config.addinivalue_line(
        "markers", "alone: this test measures time; none of another process runs beside it (tests/alone.py)"
    )
    config.addinivalue_line(
        "markers", "scoreboard(line, tier): this test shows a line of the scoreboard (tests/scoreboard.py)"
    )
    config.addinivalue_line(
        "markers", "own_database: this test ends its own transactions, or updates one row a thousand times"
    )


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The order of several processes: first what wants the machine alone, while nobody has begun anything
    long; then the week, the slow, the quick. What is worth sharing is made in one process: the office of a
    file of the pages, the simulated week, the server of another PostgreSQL."""
    for item in items:
        if item.path.parent.name == "pages":
            item.add_marker(pytest.mark.slow)
    _keep_tier(config, items)
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    if config.getoption("dist", "no") != "no":
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, bool, bool]:
    is_slow = item.get_closest_marker("slow") is not None
    return item.get_closest_marker("alone") is None, _group(item) != "week", not is_slow


def _group(item: pytest.Item) -> str | None:
    """Whom a test shares its process with."""
    version = _server_version(item)
    if item.path.stem == "test_week":
        return "week"
    if item.path.parent.name == "pages":
        return f"pages {item.path.stem}"
    return None if version in (None, "bundled") else f"server {version}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A tier needs a quarter of the files, and reading all of them as Python takes each process seconds."""
    if config.getoption("tier") is None or not collection_path.name.startswith("test_"):
        return None
    marked = (collection_path, collection_path.with_name("conftest.py"))
    has_mark = any(file.exists() and "mark.scoreboard" in file.read_text(encoding="utf-8") for file in marked)
    return None if has_mark else True


def pytest_collection_finish() -> None:
    """Thousands of tests stay as they are: nobody need look through them again and again for garbage."""
    gc.collect()
    gc.freeze()


def _keep_tier(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests up to the tier that was asked for; without one, all but those of the night."""
    asked = config.getoption("tier")
    wanted = set(TIERS[: TIERS.index(asked) + 1]) if asked else {*TIERS, None} - {"nightly"}

    def is_wanted(item: pytest.Item) -> bool:
        if asked and _server_version(item) not in (None, "bundled"):
            return False  # the other versions are the whole suite's
        marks = [mark.kwargs for mark in item.iter_markers("scoreboard")]
        shown = [mark for mark in marks if asked in (None, mark["tier"]) or not mark.get("small")]
        tiers = {mark["tier"] for mark in shown}
        return bool(wanted & (tiers if marks else {None}))

    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]


def _server_version(item: pytest.Item) -> str | None:
    """Which of SERVER_BINARIES a test runs on, where it says."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    version = item.callspec.params.get("each_server_url")
    return None if version is None else str(version)


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """What a test sets the log up to be ends with it: the next one's goes where that one looks."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session", autouse=True)
def loopback_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test connects to another machine, nor does any process that it starts (tests/guard)."""
    refusals = tmp_path_factory.mktemp("guard") / "refusals"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sitecustomize.REFUSALS, str(refusals))
        # Ahead of every other one that a child would find.
        patch.setenv("PYTHONPATH", str(Path(sitecustomize.__file__).parent), prepend=os.pathsep)
        yield
    assert not refusals.exists(), refusals.read_text(encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def no_long_sleep() -> Iterator[None]:
    """No test, and nothing of ours that runs in its process, sleeps for more than a moment: what it waits for
    can be awaited (tests/waiting.py). Libraries may."""
    really = time.sleep

    def guarded(seconds: float) -> None:
        asker = Path(sys._getframe(1).f_code.co_filename)
        if seconds > LONGEST_SLEEP_S and asker.is_relative_to(ROOT) and ".venv" not in asker.parts:
            raise AssertionError(f"{asker.relative_to(ROOT)} sleeps for {seconds} s")
        really(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", guarded)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedPostgres]:
    """The bundled PostgreSQL, one for each test process."""
    with database_server() as running:
        yield running


@pytest.fixture(scope="session")
def server_for_plugin(server: EmbeddedPostgres) -> ServerForPlugin:
    """The same server as pytest-postgresql's noproc fixtures want it."""
    return ServerForPlugin(server)


@pytest.fixture(scope="session")
def server_url(server: EmbeddedPostgres) -> str:
    """The maintenance database of this process's server, as superuser."""
    return server.url


@pytest.fixture(scope="session", params=list(SERVER_BINARIES))
def each_server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """As server_url, once for every PostgreSQL version that this machine has."""
    binaries = SERVER_BINARIES[request.param]
    if binaries is None:
        yield request.getfixturevalue("server_url")
        return
    with database_server(binaries) as running:
        yield running.url


@pytest.fixture(scope="session")
def maintenance(server_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The connection over which each test's database is made and dropped."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest,
    server_url: str,
    migrated_template: NoopExecutor,
    maintenance: psycopg.Connection[tuple[Any, ...]],
) -> Iterator[str]:
    """A migrated database of this test's own; when the test is over, its audit views must be empty."""
    with clone_of(migrated_template.template_dbname, maintenance) as name:
        url = f"{server_url.rpartition('/')[0]}/{name}"
        yield url
        if not request.node.get_closest_marker("audit_findings_expected"):
            assert audit_findings(url) == []


@pytest.fixture
def bare_database_url(server_url: str, bare_template: NoopExecutor) -> Iterator[str]:
    """A database of this test's own that has what Supabase has and nothing of ours."""
    with fresh_database(server_url, bare_template.template_dbname) as url:
        yield url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The product's pool over this test's database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def connect(database_url: str) -> Iterator[Callable[[], psycopg.Connection[tuple[Any, ...]]]]:
    """Call it for one more superuser connection to this test's database: autocommit, closed afterwards."""
    opened: list[psycopg.Connection[tuple[Any, ...]]] = []

    def connect_once() -> psycopg.Connection[tuple[Any, ...]]:
        opened.append(psycopg.connect(database_url, autocommit=True))
        return opened[-1]

    yield connect_once
    for connection in opened:
        connection.close()


@pytest.fixture(scope="session")
def evolution_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvolutionSimulator]:
    """The Evolution simulator, one for each test process, twenty times as fast as the real server."""
    log = tmp_path_factory.mktemp("evolution") / "acceptances.jsonl"
    with EvolutionSimulator(log=log, key="evolution-key-" + "e" * 26, speed=20.0) as running:
        yield running
        assert running.complaints() == ""


@pytest.fixture
def evolution(evolution_server: EvolutionSimulator) -> EvolutionSimulator:
    """The same server without an instance."""
    evolution_server.control("reset", everything=True)
    return evolution_server
