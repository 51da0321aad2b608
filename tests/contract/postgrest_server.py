"""A stand-in for PostgREST on a real database: calls functions as service_role or as a person, as Supabase
would.

Only what shared/rest.py uses: POST /rest/v1/rpc/<function>, Content-Profile, the error object (its
documentation).
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from psycopg import sql

SERVICE_KEY = "service-key-of-the-stand-in"
ANON_KEY = "anon-key-of-the-stand-in"
_LOOK_UP = """
select
    p.proretset, p.prorettype = 'void'::regtype, p.proargnames,
    array(select t::regtype::text from unnest(p.proargtypes::oid[]) with ordinality as a (t, n) order by n)
from pg_proc as p
where
    p.pronamespace = to_regnamespace(%s) and p.proname = %s
    and coalesce(p.proargnames, '{}') @> %s::text[]
order by p.pronargs desc
limit 1
"""


@contextmanager
def postgrest_server(database_url: str, people: Mapping[str, dict[str, Any]] | None = None) -> Iterator[str]:
    """The address of a running stand-in; every call is a connection and a transaction of its own.

    `people`: the claims of the tokens that it takes, with the anon key beside them.
    """
    keys: dict[str | None, tuple[str, str, dict[str, Any]]] = {
        f"Bearer {SERVICE_KEY}": (SERVICE_KEY, "service_role", {})
    }
    for token, claims in (people or {}).items():
        keys[f"Bearer {token}"] = (ANON_KEY, "authenticated", claims)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            given = json.loads(self.rfile.read(length) or b"{}")
            api_key, role, claims = keys.get(self.headers["Authorization"], ("", "", {}))
            if not api_key or self.headers["apikey"] != api_key:
                self._answer(401, {"code": "PGRST301", "message": "JWSError"})
                return
            function = self.path.removeprefix("/rest/v1/rpc/")
            try:
                with psycopg.connect(database_url) as connection:
                    connection.execute(
                        "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                        (role, json.dumps(claims)),
                    )
                    answer = _call(connection, self.headers["Content-Profile"], function, given)
                # Only now is it committed, and only then does PostgREST answer.
                self._answer(200, answer)
            except psycopg.OperationalError as error:
                if error.sqlstate is None:
                    self._answer(503, {"code": "PGRST001", "message": "no connection"})
                else:
                    self._answer(500, _error(error))
            except psycopg.Error as error:
                self._answer(400, _error(error))
            except LookupError:
                self._answer(404, {"code": "PGRST202", "message": "no such function"})

        def _answer(self, code: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _error(error: psycopg.Error) -> dict[str, Any]:
    return {
        "code": error.sqlstate,
        "message": error.diag.message_primary,
        "details": error.diag.message_detail,
        "hint": error.diag.message_hint,
    }


def _call(connection: psycopg.Connection[Any], schema: str, function: str, given: dict[str, Any]) -> Any:
    found = connection.execute(_LOOK_UP, (schema, function, list(given))).fetchone()
    if found is None:
        raise LookupError
    is_set, is_void, names, types = found
    of = dict(zip(names or (), types, strict=False))
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), _typed(name, of[name])) for name in given
    )
    query = sql.SQL("select to_jsonb(r) from {}({}) as r").format(sql.Identifier(schema, function), arguments)
    rows = [row[0] for row in connection.execute(query, {"given": json.dumps(given)}).fetchall()]
    if is_set:
        return rows
    return None if is_void else rows[0]


def _typed(name: str, kind: str) -> sql.Composable:
    value = sql.SQL("%(given)s::jsonb")
    if kind == "jsonb":
        return sql.SQL("{} -> {}").format(value, name)
    if kind.endswith("[]"):
        return sql.SQL("array(select jsonb_array_elements_text({} -> {}))::{}").format(
            value, name, sql.SQL(kind)
        )
    return sql.SQL("({} ->> {})::{}").format(value, name, sql.SQL(kind))
