"""One pool of connections: calls as the service, or under one person's rights. SQL functions decide.

No retries: only the caller knows whether asking twice is harmless.
"""

import functools
import json
import select
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, Protocol, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg.types.numeric import FloatDumper
from psycopg_pool import ConnectionPool

from shared.db_errors import FORBIDDEN, translated
from shared.errors import Forbidden, InvalidInput, NotFound, RoletaError, SettingsError, SetupMissing

if TYPE_CHECKING:
    from shared.identity import Person

Row = dict[str, Any]
# Not a member of the role; no such role: what Supabase, or supabase_bootstrap.sql, provides.
_NO_ROLE = (FORBIDDEN, "22023")


class Calls(Protocol):
    """What handlers and workers need of a database: to call its functions. shared/rest.py offers the same."""

    def call(self, function: str, /, **arguments: object) -> list[Row]: ...

    def call_one(self, function: str, /, **arguments: object) -> Row: ...

    def as_person(self, person: "Person", /) -> "Calls": ...


class Transaction:
    """Calls and reads over one connection. Database.transaction() makes it; the block's end commits."""

    def __init__(self, connection: psycopg.Connection[DictRow]) -> None:
        self._connection = connection

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """The rows of `schema.function(name => value, ...)`; a scalar is a column of the function's name.

        dict, and list holding dict or list, travel as jsonb; other lists as arrays (else use as_json).
        """
        return self._run(_call_statement(function, tuple(arguments)), arguments, function)

    def call_one(self, function: str, /, **arguments: object) -> Row:
        """The only row of a call; NotFound where there is none."""
        return only(self.call(function, **arguments), function)

    def rows(self, query: LiteralString, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """The rows of a read, such as a view; placeholders as %(name)s."""
        return self._run(query, parameters, "the query")

    def _run(self, statement: LiteralString, parameters: Mapping[str, object] | None, what: str) -> list[Row]:
        values = {name: _adapted(value) for name, value in (parameters or {}).items()}
        try:
            with translated(what):
                cursor = self._connection.execute(statement, values or None)
                return cursor.fetchall() if cursor.description is not None else []
        except UnicodeEncodeError:
            raise InvalidInput(f"a text given to {what} is not valid Unicode") from None


class Database:
    """A pool that connects when first used and again by itself after a loss. Threads may share it."""

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 4,
        application_name: str = "roleta",
        wait_timeout: float = 5.0,
    ) -> None:
        given = read_address(url)
        self._opening = threading.Lock()
        self._opened = False
        self._refusal: str | None = None
        self._wait_timeout = wait_timeout
        self._pool = ConnectionPool(
            url,
            connection_class=_reporting_connection(self._remember_refusal),
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                # Transaction poolers do not keep prepared statements.
                "prepare_threshold": None,
                "application_name": application_name,
                "connect_timeout": given.get("connect_timeout", 5),
            },
            min_size=min_size,
            max_size=max_size,
            open=False,
            name=application_name,
            configure=_configure,
            check=self._refuse_dead,
            timeout=wait_timeout,
            # With a longer one attempts grow minutes apart; after giving up, the next call tries anew.
            reconnect_timeout=wait_timeout,
        )

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """Transaction.call in a transaction of its own: one statement, one round trip.

        DatabaseUnavailable when the connection is lost on the way: the call may or may not have happened.
        """
        with self._connected() as connection:
            return connection.call(function, **arguments)

    def call_one(self, function: str, /, **arguments: object) -> Row:
        """The only row of a call; NotFound where there is none."""
        return only(self.call(function, **arguments), function)

    def rows(self, query: LiteralString, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """The rows of a read, such as a view; placeholders as %(name)s."""
        with self._connected() as connection:
            return connection.rows(query, parameters)

    def as_person(self, person: "Person", /) -> "AsPerson":
        """The same database with this person's rights and no others (design.md 10)."""
        return AsPerson(self, person)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Several calls in one transaction: committed at the block's end, undone where it raises."""
        with self._connected() as connection, connection._connection.transaction():
            yield connection

    def close(self) -> None:
        """Closes every connection; later calls raise DatabaseUnavailable."""
        with self._opening:
            self._opened = True
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def _connected(self) -> Iterator[Transaction]:
        with self._opening:
            if not self._opened:
                self._pool.open()
                self._opened = True
        with translated("the database", lambda: self._refusal), self._pool.connection() as connection:
            yield Transaction(connection)

    def _refuse_dead(self, connection: psycopg.Connection[DictRow]) -> None:
        if _is_closed_by_server(connection):
            # The others are dead too, most likely; the pool would find that out one by one, a second apart.
            self._pool.drain()
            raise psycopg.OperationalError("closed by the server")

    def _remember_refusal(self, reason: str | None) -> None:
        self._refusal = reason


class AsPerson:
    """Calls and reads under one person's rights: row security and grants decide, not Python.

    Each runs in a transaction whose role and claims end with it, however it ends. Forbidden where the
    person has no right to what is asked.
    """

    def __init__(self, database: Database, person: "Person") -> None:
        self._database = database
        self._claims = json.dumps(person.claims)

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """As Database.call."""
        with self._begun() as transaction:
            return transaction.call(function, **arguments)

    def call_one(self, function: str, /, **arguments: object) -> Row:
        """The only row of a call; NotFound where there is none."""
        return only(self.call(function, **arguments), function)

    def rows(self, query: LiteralString, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """As Database.rows: of the tables that people may read, the rows that this person may see."""
        with self._begun() as transaction:
            return transaction.rows(query, parameters)

    def as_person(self, person: "Person", /) -> "AsPerson":
        """Another person's rights instead of this one's."""
        return self._database.as_person(person)

    @contextmanager
    def _begun(self) -> Iterator[Transaction]:
        with self._database.transaction() as transaction:
            try:
                transaction.rows(
                    "select set_config('request.jwt.claims', %(claims)s, true),"
                    " set_config('role', 'authenticated', true)",
                    {"claims": self._claims},
                )
            except RoletaError as error:
                if error.code in _NO_ROLE:
                    raise SetupMissing("the database's user is no member of the role authenticated") from None
                raise
            try:
                yield transaction
            except RoletaError as error:
                if error.code == FORBIDDEN:
                    raise Forbidden from None
                raise


def read_address(url: str) -> dict[str, Any]:
    """What an address names. SettingsError for one that is none, or whose password is not written as an
    address wants it: a driver would repeat the rest of it as the name of a host, a port or a database."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        # The driver's message would repeat the address, password included.
        raise SettingsError("DATABASE_URL is not a Postgres address (postgresql://...)") from None
    host, port, name = (str(given.get(part) or "") for part in ("host", "port", "dbname"))
    is_odd_host = "@" in host or ("/" in host and not host.startswith("/"))
    if is_odd_host or "@" in name or (not port.replace(",", "0").isdecimal() and port):
        raise SettingsError(
            "DATABASE_URL ends its password too early: in a password write @ as %40, / as %2F and % as %25"
        )
    return given


def as_json(value: object) -> Jsonb:
    """For a json parameter whose value is no dict: a plain or empty list, a string, a number."""
    return Jsonb(value)


@functools.lru_cache(maxsize=512)
def _call_statement(function: str, names: tuple[str, ...]) -> LiteralString:
    schema, dot, name = function.partition(".")
    if not (schema and dot and name):
        raise ValueError(f"name the function as schema.function, not {function}")
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(each), sql.Placeholder(each)) for each in names
    )
    statement = sql.SQL("select * from {}({})").format(sql.Identifier(schema, name), arguments)
    # Literal in the sense that counts: made of quoted identifiers and placeholders only.
    return statement.as_string(None)


def _adapted(value: object) -> object:
    if isinstance(value, dict):
        return Jsonb(value)
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        return Jsonb(value)
    return value


def only(rows: Sequence[Row], function: str) -> Row:
    """The only row of a call's answer; NotFound where there is none."""
    if not rows:
        raise NotFound(f"{function} found nothing")
    if len(rows) > 1:
        raise RoletaError(f"{function} answered {len(rows)} rows where one was expected")
    return rows[0]


class _UntypedFloat(FloatDumper):
    """A float whose type the server infers: float8 does not become numeric in a function call by itself."""

    oid = 0


def _configure(connection: psycopg.Connection[DictRow]) -> None:
    connection.adapters.register_dumper(float, _UntypedFloat)


def _is_closed_by_server(connection: psycopg.Connection[DictRow]) -> bool:
    """Whether the server ended an idle connection, without a round trip for those that it has not."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.Error:
        return True
    return False


def _reporting_connection(report: Callable[[str | None], None]) -> type[psycopg.Connection[DictRow]]:
    """A connection class that says why connecting failed; the pool itself only says that it timed out."""

    class Reporting(psycopg.Connection[DictRow]):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:
            try:
                connection = super().connect(conninfo, **options)
            except psycopg.Error as error:
                report((str(error).splitlines() or [type(error).__name__])[0])
                raise
            report(None)
            return connection

    return Reporting
