"""What scripts/supabase_bootstrap.sql gives a bare server."""

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from scripts.embedded import bootstrap_supabase
from tests.servers import fresh_database


def test_databases_may_be_bootstrapped_at_once_and_again(each_server_url: str) -> None:
    """Eight bootstraps over two databases of one server at once: none fails, though roles are shared."""
    with fresh_database(each_server_url) as one, fresh_database(each_server_url) as two:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(bootstrap_supabase, [one, two] * 4))
        with psycopg.connect(one) as connection:
            roles = connection.execute(
                "select rolname, rolcanlogin, rolbypassrls from pg_roles "
                "where rolname in ('anon', 'authenticated', 'service_role', 'authenticator') order by 1"
            ).fetchall()
    assert roles == [
        ("anon", False, False),
        ("authenticated", False, False),
        ("authenticator", True, False),
        ("service_role", False, True),
    ]


@pytest.mark.parametrize(("grants", "allowed"), [("permissive", True), ("restrictive", False)])
def test_default_grants_come_in_two_flavours(each_server_url: str, grants: str, allowed: bool) -> None:
    """A table and a function made later in public are open to the API roles, or closed, as chosen."""
    with fresh_database(each_server_url) as url:
        bootstrap_supabase(url, "permissive" if allowed else "restrictive")
        with psycopg.connect(url) as connection:
            connection.execute("create table public.t (id int)")
            connection.execute("create function public.f() returns int language sql as 'select 1'")
            answers = connection.execute(
                "select has_table_privilege(r, 'public.t', 'select, insert'), "
                "has_function_privilege(r, 'public.f()', 'execute') "
                "from unnest(array['anon', 'authenticated', 'service_role']) as r"
            ).fetchall()
    assert answers == [(allowed, allowed)] * 3


def test_claims_tell_who_is_asking(bare_database_url: str) -> None:
    """auth.uid(), role(), email() and jwt() read the transaction's claims, also as role authenticated."""
    person = "11111111-2222-4333-8444-555555555555"
    claims = {"sub": person, "role": "authenticated", "email": "ana@example.com"}
    with psycopg.connect(bare_database_url) as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
        connection.execute("set local role authenticated")
        row = connection.execute("select auth.uid()::text, auth.role(), auth.email(), auth.jwt()").fetchone()
        assert row == (person, "authenticated", "ana@example.com", claims)
        connection.rollback()
        assert connection.execute("select auth.uid(), auth.role(), auth.jwt()").fetchone() == (None,) * 3


def test_a_stranger_does_not_see_who_has_an_account(bare_database_url: str) -> None:
    """The API roles cannot read auth.users."""
    with psycopg.connect(bare_database_url) as connection:
        connection.execute("set local role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from auth.users")


def test_an_unknown_flavour_is_refused(bare_database_url: str) -> None:
    """A misspelt roleta.default_grants stops the bootstrap instead of opening everything."""
    with pytest.raises(psycopg.errors.RaiseException, match="permissive or restrictive"):
        bootstrap_supabase(bare_database_url, "open")  # type: ignore[arg-type]
