"""shared.db as a person: role and claims last one transaction, however it ends, and nobody inherits them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.db import AsPerson, Database
from shared.errors import DatabaseUnavailable, Forbidden, InvalidInput, NotFound, RoletaError, SetupMissing
from tests.identities import person_of
from tests.waiting import eventually

WHO = (
    "select current_user::text as role, session_user::text as session_role,"
    " nullif(current_setting('request.jwt.claims', true), '') as claims"
)
FUNCTIONS = """
create schema probe;
grant usage on schema probe to authenticated;
create table probe.kept (owner uuid, words text);
alter table probe.kept enable row level security;
create policy own on probe.kept for select to authenticated using (owner = (select auth.uid()));
grant select on probe.kept to authenticated;
create table probe.hidden (words text);
create function probe.who(out role text, out sub text) language sql
as 'select current_user::text, auth.jwt() ->> ''sub''';
create function probe.nap(p_s double precision) returns uuid language plpgsql
as 'begin perform pg_sleep(p_s); return auth.uid(); end';
create function probe.fail(p_state text) returns void language plpgsql as $$
begin
    raise exception 'no' using errcode = p_state;
end $$;
create function probe.service_only() returns integer language sql as 'select 1';
revoke execute on function probe.service_only() from public;
create function probe.leave_claims() returns void language sql
as $$ select set_config('request.jwt.claims', '{"sub": "left behind"}', false) $$;
"""
ANA, BIA = person_of(uuid4(), "ana@example.com"), person_of(uuid4(), "bia@example.com")


@pytest.fixture
def probe(bare_database_url: str) -> Iterator[Database]:
    """A pool of one connection: whatever one caller leaves on it, the next one meets."""
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute(FUNCTIONS)
        for person in (ANA, BIA):
            connection.execute(
                "insert into probe.kept values (%s, %s)", (person.user_id, f"words of {person.email}")
            )
    with Database(bare_database_url, min_size=1, max_size=1) as database:
        yield database


def clean(probe: Database) -> bool:
    """Whether the one connection is the service's again, without claims."""
    [row] = probe.rows(WHO)
    return row["role"] == row["session_role"] and row["claims"] is None


def test_a_call_has_the_person_s_role_and_claims(probe: Database) -> None:
    """The database sees who asks, by whatever way is asked."""
    theirs = probe.as_person(ANA)
    expected = {"role": "authenticated", "sub": str(ANA.user_id)}
    assert theirs.call("probe.who") == [expected]
    assert theirs.call_one("probe.who") == expected
    assert theirs.rows("select role, sub from probe.who()") == [expected]
    assert clean(probe)


def test_row_security_decides_what_a_person_sees(probe: Database) -> None:
    """The same question, each their own rows; the service sees all of them."""
    question = "select words from probe.kept order by words"
    assert probe.as_person(ANA).rows(question) == [{"words": "words of ana@example.com"}]
    assert probe.as_person(BIA).rows(question) == [{"words": "words of bia@example.com"}]
    assert len(probe.rows(question)) == 2


def test_another_person_from_a_person(probe: Database) -> None:
    """as_person of a person's database is the other person's, not both."""
    assert probe.as_person(ANA).as_person(BIA).call_one("probe.who")["sub"] == str(BIA.user_id)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("WP002", NotFound),
        ("WP007", Forbidden),
        ("P0001", RoletaError),
        ("22023", InvalidInput),
        ("57014", DatabaseUnavailable),
    ],
)
def test_nothing_is_left_after_an_error(probe: Database, state: str, kind: type[RoletaError]) -> None:
    """The next user of the connection is the service again, whatever the person's call ended in."""
    for _ in range(3):
        with pytest.raises(kind):
            probe.as_person(ANA).call("probe.fail", p_state=state)
        assert clean(probe)
        assert probe.as_person(BIA).call_one("probe.who")["sub"] == str(BIA.user_id)


def test_nothing_is_left_after_a_value_that_cannot_travel(probe: Database) -> None:
    """Not even where the driver refuses, halfway through the transaction."""
    with pytest.raises(InvalidInput):
        probe.as_person(ANA).call("probe.fail", p_state="a\x00b")
    with pytest.raises(InvalidInput):
        probe.as_person(ANA).call("probe.fail", p_state="\ud800")
    assert clean(probe)


def test_nothing_is_left_after_a_lost_connection(probe: Database, bare_database_url: str) -> None:
    """A connection that breaks under a person's call is replaced by one that knows nobody."""
    theirs = probe.as_person(ANA)
    with ThreadPoolExecutor(1) as thread, psycopg.connect(bare_database_url, autocommit=True) as other:
        napping = thread.submit(theirs.call, "probe.nap", p_s=60.0)

        def cut_off() -> bool:
            return bool(
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where query like '%probe%nap%' and state = 'active' and pid <> pg_backend_pid()"
                ).fetchall()
            )

        eventually(cut_off)
        with pytest.raises(DatabaseUnavailable):
            napping.result(20)
    assert clean(probe)
    assert theirs.call_one("probe.who")["sub"] == str(ANA.user_id)


def test_claims_that_a_function_leaves_to_the_session_are_nobody_else_s(probe: Database) -> None:
    """Even then the next person is who they are: their own claims come first in their own transaction."""
    probe.as_person(ANA).call("probe.leave_claims")
    assert probe.as_person(BIA).call_one("probe.who")["sub"] == str(BIA.user_id)


@pytest.mark.parametrize("ask", ["probe.service_only", "probe.hidden"])
def test_what_a_person_has_no_right_to__forbidden(probe: Database, ask: str) -> None:
    """A function that is the service's, a table that nobody may read: the person is told no, nothing else."""
    theirs = probe.as_person(ANA)
    with pytest.raises(Forbidden) as refused:
        if ask == "probe.hidden":
            theirs.rows("select * from probe.hidden")
        else:
            theirs.call(ask)
    assert "probe" not in str(refused.value)
    assert clean(probe)


def test_claims_with_odd_letters_travel(probe: Database) -> None:
    """Whatever a person put into their own metadata is data."""
    claims = ANA.claims | {
        "user_metadata": {"name": "Zoë'; set role postgres; -- %(claims)s \N{PILE OF POO}"}
    }
    odd = type(ANA)(ANA.user_id, None, ANA.token, claims)
    assert probe.as_person(odd).call_one("probe.who") == {"role": "authenticated", "sub": str(ANA.user_id)}
    assert clean(probe)


def test_people_at_once_on_few_connections_are_never_mixed_up(bare_database_url: str) -> None:
    """Eight threads, two connections, service and people in turn: everybody is answered about themselves."""
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute(FUNCTIONS)
    people = [person_of(uuid4()) for _ in range(8)]
    begin = threading.Barrier(8)
    with Database(bare_database_url, max_size=2, wait_timeout=30) as database:

        def ask(index: int) -> list[bool]:
            begin.wait(10)
            mine: AsPerson = database.as_person(people[index])
            seen = []
            for turn in range(25):
                if turn % 5 == 4:
                    seen.append(clean(database))
                else:
                    answer = mine.call_one("probe.nap", p_s=0.001)["nap"]
                    seen.append(UUID(str(answer)) == people[index].user_id)
            return seen

        with ThreadPoolExecutor(8) as threads:
            assert all(all(seen) for seen in threads.map(ask, range(8)))


def test_a_user_who_is_no_member_of_the_role__setup_missing(bare_database_url: str) -> None:
    """The gateway's own account must be allowed to act for people; the message says which role."""
    name = f"loner_{uuid4().hex[:8]}"
    address = make_conninfo(bare_database_url, user=name, password="loner")
    with psycopg.connect(bare_database_url, autocommit=True) as connection:
        connection.execute(FUNCTIONS)
        connection.execute(f"create role {name} login noinherit password 'loner'".encode())
        try:
            with (
                Database(address) as database,
                pytest.raises(SetupMissing, match="no member of the role authenticated"),
            ):
                database.as_person(ANA).call("probe.who")
        finally:
            connection.execute(f"drop role {name}".encode())
