"""The same calls as shared/db.py over HTTPS: PostgREST and the service key, for want of a direct connection.

Supabase must expose the schema `messaging` (dashboard: API settings). Errors and rows come out as from db.py.
"""

import copy
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError
from psycopg.types.json import Jsonb

from shared.db import Row, only
from shared.db_errors import FORBIDDEN, UNAVAILABLE
from shared.errors import (
    BY_SQLSTATE,
    DatabaseUnavailable,
    Forbidden,
    InvalidInput,
    RoletaError,
    SettingsError,
    SetupMissing,
)
from shared.webhook_auth import Unauthorized

if TYPE_CHECKING:
    from shared.identity import Person

# Our functions name their columns so: a moment ends in _at, an id of a row of the app in _id.
_MOMENT = "_at"
# PostgREST's own codes (its documentation, "Errors"): the database is away; schema or function not exposed.
_AWAY = ("PGRST000", "PGRST001", "PGRST002", "PGRST003")
_NOT_EXPOSED = ("PGRST106", "PGRST202", "42883", "3F000", FORBIDDEN)
# The token is not, or no longer, good in PostgREST's eyes.
_NO_TOKEN = ("PGRST301", "PGRST302", "PGRST303")


class RestDatabase:
    """Calls SQL functions through PostgREST, each call one transaction. Threads may share it."""

    def __init__(
        self, url: str, service_key: str, *, anon_key: str | None = None, timeout_s: float = 10.0
    ) -> None:
        """`url` is the project's, without a path (https://<project>). `anon_key`: what as_person needs."""
        self._address = f"{url.rstrip('/')}/rest/v1"
        self._anon_key = anon_key
        self._http = httpx.Client(timeout=timeout_s, trust_env=False)
        self._is_person = False
        self._clients = self._clients_for(service_key, service_key)

    def as_person(self, person: "Person", /) -> "RestDatabase":
        """The same database with this person's rights and no others: their token decides, PostgREST sets role
        and claims. It shares our connections: only we are closed."""
        if self._anon_key is None:
            raise SettingsError("SUPABASE_ANON_KEY must be set: people's calls over HTTPS need it")
        theirs = copy.copy(self)
        theirs._is_person = True
        theirs._clients = self._clients_for(self._anon_key, person.token)
        return theirs

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """The rows of `schema.function(name => value, ...)`; a scalar is a column of the function's name."""
        schema, _, name = function.partition(".")
        given = {key: _encoded(value) for key, value in arguments.items()}
        try:
            answer = self._clients[schema].rpc(name, given).execute().data
        except APIError as error:
            translate = _translate_for_person if self._is_person else _translate
            raise translate(error, function) from None
        except httpx.HTTPError as error:
            raise DatabaseUnavailable(
                f"the database cannot be reached over HTTPS: {type(error).__name__}"
            ) from None
        if isinstance(answer, list) and all(isinstance(each, dict) for each in answer):
            return [_decoded(each) for each in answer]
        return [{name: answer}]

    def call_one(self, function: str, /, **arguments: object) -> Row:
        """The only row of a call; NotFound where there is none."""
        return only(self.call(function, **arguments), function)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _clients_for(self, api_key: str, token: str) -> dict[str, SyncPostgrestClient]:
        return {
            schema: SyncPostgrestClient(
                self._address,
                schema=schema,
                headers={"apikey": api_key, "Authorization": f"Bearer {token}"},
                http_client=self._http,
                # A claim asked twice would lease twice; only our caller knows what may be repeated.
                retry_enabled=False,
            )
            for schema in ("messaging", "public")
        }


def _translate_for_person(error: APIError, function: str) -> RoletaError:
    if error.code == FORBIDDEN:
        return Forbidden()
    return Unauthorized() if error.code in _NO_TOKEN else _translate(error, function)


def _translate(error: APIError, function: str) -> RoletaError:
    code = error.code or ""
    if code in BY_SQLSTATE:
        return BY_SQLSTATE[code](error.message)
    if code in _AWAY or code.startswith(UNAVAILABLE):
        return DatabaseUnavailable(f"the database went away ({code})", sqlstate=code)
    if code in _NOT_EXPOSED:
        return SetupMissing(
            f"{function} cannot be called ({code}); is the database migrated, and its schema exposed?",
            sqlstate=code,
        )
    if code.startswith("22"):
        return InvalidInput(f"a value given to {function} has the wrong form ({code})", sqlstate=code)
    # Never the server's own details: they hold values of rows.
    return RoletaError(f"{function} failed in the database ({code or 'no code'})", sqlstate=code or None)


def _encoded(value: object) -> Any:
    if isinstance(value, Jsonb):
        return _encoded(value.obj)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, UUID | datetime.datetime):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    return value


def _decoded(row: Mapping[str, Any]) -> Row:
    return {key: _value(key, value) for key, value in row.items()}


def _value(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if key.endswith(_MOMENT):
        return datetime.datetime.fromisoformat(value)
    if len(value) == 36 and (key.endswith("_id") or key == "lease_token"):
        try:
            return UUID(value)
        except ValueError:
            return value
    return value
