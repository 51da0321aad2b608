"""shared.db over a real server: how values travel, which error is which, what a lost connection means."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from shared.clock import monotonic
from shared.db import Database, as_json
from shared.errors import (
    Conflict,
    DatabaseUnavailable,
    IllegalMove,
    InvalidInput,
    NotFound,
    RoletaError,
    SettingsError,
    SetupMissing,
    WouldDiscardData,
)
from tests.servers import database_server
from tests.waiting import eventually

FUNCTIONS = """
create schema probe;
create table probe.kept (
    id integer primary key, secret text constraint no_short_secret check (length(secret) > 3)
);
create function probe.echo(p_text text default null, p_json jsonb default null, p_list text[] default null,
    p_number numeric default null, p_count bigint default null, p_at timestamptz default null,
    p_id uuid default null, p_flag boolean default null)
returns table (text_back text, json_back jsonb, list_back text[], number_back numeric, count_back bigint,
    at_back timestamptz, id_back uuid, flag_back boolean)
language sql as 'select p_text, p_json, p_list, p_number, p_count, p_at, p_id, p_flag';
create function probe.fail(p_state text) returns void language plpgsql as $$
begin
    raise exception 'change the thing' using errcode = p_state, detail = 'token=s3cret';
end $$;
create function probe.keep(p_id integer, p_secret text) returns integer language sql
as 'insert into probe.kept values (p_id, p_secret) returning id';
create function probe.numbers(p_count integer) returns setof integer language sql
as 'select generate_series(1, p_count)';
"""


@pytest.fixture
def probe(bare_database_url: str) -> Iterator[Database]:
    """A pool over a database with a few functions to call."""
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute(FUNCTIONS)
    with Database(bare_database_url, max_size=3) as database:
        yield database


@pytest.mark.parametrize(
    ("argument", "value", "column"),
    [
        ("p_text", "ção \N{GRINNING FACE}", "text_back"),
        ("p_text", None, "text_back"),
        ("p_json", {"a": [1, {"b": None}]}, "json_back"),
        ("p_json", [{"a": 1}], "json_back"),
        ("p_list", ["a", "b"], "list_back"),
        ("p_list", [], "list_back"),
        ("p_number", Decimal("0.10"), "number_back"),
        ("p_count", 2**40, "count_back"),
        ("p_at", datetime(2026, 3, 1, 12, tzinfo=UTC), "at_back"),
        ("p_id", uuid.UUID(int=7), "id_back"),
        ("p_flag", True, "flag_back"),
    ],
)
def test_values_travel_unchanged(probe: Database, argument: str, value: object, column: str) -> None:
    """What Python gives arrives as the parameter's type and comes back equal."""
    assert probe.call_one("probe.echo", **{argument: value})[column] == value


def test_float_fits_a_numeric_parameter(probe: Database) -> None:
    """A gap in seconds may be given as a float: the server takes it as the type it wants."""
    assert probe.call_one("probe.echo", p_number=0.25)["number_back"] == Decimal("0.25")


def test_plain_list_as_json(probe: Database) -> None:
    """as_json says that a list is meant as json, the empty one too."""
    assert probe.call_one("probe.echo", p_json=as_json([]))["json_back"] == []


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("WP001", IllegalMove),
        ("WP002", NotFound),
        ("WP003", InvalidInput),
        ("WP004", Conflict),
        ("WP005", WouldDiscardData),
        ("WP006", SetupMissing),
    ],
)
def test_our_sqlstates_become_our_errors__message_only(
    probe: Database, sqlstate: str, kind: type[RoletaError]
) -> None:
    """The message is what the function said; its detail, which holds values of rows, is nowhere."""
    with pytest.raises(kind) as caught:
        probe.call("probe.fail", p_state=sqlstate)
    assert str(caught.value) == "change the thing"
    assert caught.value.code == sqlstate
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_other_errors_name_state_and_constraint__never_values(probe: Database) -> None:
    """A violated constraint is named; what was to be stored is not."""
    with pytest.raises(RoletaError, match=r"probe\.keep failed .*23514.*no_short_secret") as caught:
        probe.call("probe.keep", p_id=1, p_secret="abc")
    assert (caught.value.code, caught.value.constraint) == ("23514", "no_short_secret")
    assert "abc" not in str(caught.value)
    with pytest.raises(RoletaError) as unknown:
        probe.call("probe.fail", p_state="P0001")
    assert "s3cret" not in str(unknown.value)


@pytest.mark.parametrize(
    "arguments", [{"p_text": "a\x00b"}, {"p_text": "\ud800"}, {"p_id": "s3cret"}, {"p_json": {"a": "\x00"}}]
)
def test_value_that_cannot_be_stored__invalid_input(probe: Database, arguments: dict[str, object]) -> None:
    """NUL, half a surrogate pair and a wrong form are the caller's fault, told without the value."""
    with pytest.raises(InvalidInput) as caught:
        probe.call("probe.echo", **arguments)
    assert "s3cret" not in str(caught.value)


def test_function_that_is_not_there__says_to_migrate(probe: Database) -> None:
    """A database that was never migrated is told as such."""
    with pytest.raises(SetupMissing, match="roleta migrate"):
        probe.call("messaging.no_such_function")


def test_name_that_is_no_identifier__is_only_a_name(probe: Database) -> None:
    """Function and argument names are quoted: none of them becomes SQL."""
    with pytest.raises(RoletaError):
        probe.call('probe.echo"(); drop table probe.kept; --')
    assert probe.rows("select count(*) as n from probe.kept") == [{"n": 0}]


def test_call_one_wants_exactly_one_row(probe: Database) -> None:
    """No row is NotFound, several are an error."""
    assert probe.call_one("probe.numbers", p_count=1) == {"numbers": 1}
    with pytest.raises(NotFound):
        probe.call_one("probe.numbers", p_count=0)
    with pytest.raises(RoletaError, match="2 rows"):
        probe.call_one("probe.numbers", p_count=2)


def test_rows_reads_with_parameters(probe: Database) -> None:
    """Reads take named parameters; a percent sign without parameters is just one."""
    assert probe.rows("select %(a)s::text as a", {"a": "x"}) == [{"a": "x"}]
    assert probe.rows("select '5%' as a") == [{"a": "5%"}]


def test_transaction_commits_together_or_not_at_all(probe: Database) -> None:
    """An error in the block, ours or the caller's, undoes what the block did."""
    with probe.transaction() as transaction:
        transaction.call("probe.keep", p_id=1, p_secret="first")
        assert transaction.call_one("probe.keep", p_id=2, p_secret="second") == {"keep": 2}
    with pytest.raises(KeyError), probe.transaction() as transaction:
        transaction.call("probe.keep", p_id=3, p_secret="third")
        raise KeyError("the caller's own")
    with pytest.raises(RoletaError), probe.transaction() as transaction:
        transaction.call("probe.keep", p_id=4, p_secret="fourth")
        transaction.call("probe.keep", p_id=4, p_secret="again")
    assert probe.rows("select id from probe.kept order by id") == [{"id": 1}, {"id": 2}]


def test_connection_lost_during_a_call__unavailable_and_not_repeated(
    probe: Database, bare_database_url: str
) -> None:
    """The caller is told, the call is not made again, and the next call works."""
    with (
        psycopg.connect(bare_database_url, autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("select pg_advisory_lock(4711)")
        blocked = pool.submit(probe.rows, "select pg_advisory_lock(4711)")
        killed = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted"
        eventually(lambda: other.execute(killed).fetchall(), 10, "the call waiting")
        with pytest.raises(DatabaseUnavailable):
            blocked.result(10)
        assert other.execute("select count(*) from pg_locks where not granted").fetchone() == (0,)
        assert probe.rows("select 1 as a") == [{"a": 1}]


def test_idle_connections_that_the_server_closed__never_seen_by_a_caller(
    probe: Database, bare_database_url: str
) -> None:
    """Every pooled connection is closed from the other side; the next calls work, and soon."""
    together = threading.Barrier(3)

    def hold() -> None:
        with probe.transaction() as transaction:
            transaction.rows("select 1 as a")
            together.wait(10)

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(hold) for _ in range(3)]:
            each.result(10)
    with psycopg.connect(bare_database_url, autocommit=True) as other:
        mine = "from pg_stat_activity where datname = current_database() and application_name = 'roleta'"
        other.execute(f"select pg_terminate_backend(pid) {mine}")
        eventually(lambda: other.execute(f"select count(*) {mine}").fetchone() == (0,), 10, "all closed")
    started = monotonic()
    assert [probe.rows("select 1 as a") for _ in range(3)] == [[{"a": 1}]] * 3
    assert monotonic() - started < 2


@pytest.mark.slow
def test_server_away_and_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Away: unavailable within the timeout, with the reason. Back: the next call works."""
    with database_server() as server:
        port = server.port
        with Database(server.url, wait_timeout=1.0) as database:
            assert database.rows("select 1 as a") == [{"a": 1}]
            server.stop()
            started = monotonic()
            with pytest.raises(DatabaseUnavailable, match=r"cannot be reached|lost|went away"):
                database.rows("select 1 as a")
            with pytest.raises(DatabaseUnavailable, match=r"cannot be reached: .*refused"):
                database.rows("select 1 as a")
            assert monotonic() - started < 5
            server._wanted_port = port
            server.start()
            assert database.rows("select 1 as a") == [{"a": 1}]
    assert server.password not in capfd.readouterr().err


def test_nothing_connects_before_the_first_call() -> None:
    """A pool for a server that is not there can be made; only a call fails, quickly and with the reason."""
    with Database("postgresql://someone:s3cret@127.0.0.1:1/none", wait_timeout=0.5) as database:
        with pytest.raises(DatabaseUnavailable, match="refused") as caught:
            database.call("messaging.anything")
        assert "s3cret" not in str(caught.value)


def test_address_that_is_none__refused_without_repeating_it() -> None:
    """A wrong address is told without the password that it may hold."""
    with pytest.raises(SettingsError) as caught:
        Database("not an address s3cret")
    assert "s3cret" not in str(caught.value)


def test_closed_pool__unavailable(probe: Database) -> None:
    """A call after close is refused as unavailable, like any call that finds no connection."""
    probe.close()
    with pytest.raises(DatabaseUnavailable):
        probe.rows("select 1 as a")


def test_more_threads_than_connections__each_gets_its_turn(probe: Database) -> None:
    """Twenty threads share three connections and all are served."""
    work: Callable[[int], list[dict[str, Any]]] = lambda number: probe.call("probe.echo", p_count=number)  # noqa: E731
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(work, range(100)))
    assert [each[0]["count_back"] for each in answers] == list(range(100))


def test_every_connection_busy__unavailable(bare_database_url: str) -> None:
    """Where no connection comes free in time the caller is told so, and not that the server is away."""
    with Database(bare_database_url, max_size=1, wait_timeout=0.3) as database:
        with database.transaction(), pytest.raises(DatabaseUnavailable, match="busy"):
            database.rows("select 1 as a")
        assert database.rows("select 1 as a") == [{"a": 1}]
