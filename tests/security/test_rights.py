"""Every role's rights on every object, proven by acts: rights.txt says what is expected, cell by cell.

The privilege functions of the catalog are asked too, but only besides: row security, definer functions and
BYPASSRLS make them say less, or more, than what happens.
"""

import json
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from tests.database.actions import FUNCTIONS
from tests.database.agency_actions import MANAGERS
from tests.security import catalog, rights
from tests.security.catalog import API_ROLES, VERBS, Item
from tests.security.rights import WHO, Expected
from tests.security.tenants import Tenants, act_as

EXPECTED = rights.expected()
RELATIONS = [each for each in EXPECTED if each.kind in ("table", "view")]
TABLES = [each for each in EXPECTED if each.kind == "table"]
CALLABLE = [each for each in EXPECTED if each.catalog_kind == "function"]
CHANGED_ONLY_BY_FUNCTIONS = [each for each in TABLES if not each.name.startswith("public.")]
DENIED, NOT_A_MANAGER = "42501", "WP007: only a manager of an agency may do this"
ROLE = {"anon": "anon", "service_role": "service_role"}

pytestmark = pytest.mark.scoreboard("S6", tier="landing")


def found(tenants: Tenants) -> dict[tuple[str, str], Item]:
    """The catalog's objects by kind and name."""
    return {(item.kind, item.name): item for item in catalog.items(tenants.world.connection)}


def test_every_object_has_a_line_and_every_line_an_object(tenants: Tenants) -> None:
    """Nothing is added to the database without somebody saying who may use it."""
    named = [(each.catalog_kind, each.name) for each in EXPECTED]
    assert len(named) == len(set(named))
    lacking = [line for _, line in rights.missing(tenants.world.connection)]
    assert lacking == [], "run `.venv/bin/python -m tests.security.rights` and review what it prints"
    assert set(named) - set(found(tenants)) == set()


def test_no_function_has_two_signatures(tenants: Tenants) -> None:
    """One line of the file is one function."""
    items = [item.name for item in catalog.items(tenants.world.connection) if item.kind == "function"]
    assert sorted(items) == sorted(set(items))


def test_the_catalog_grants_what_the_file_says(tenants: Tenants) -> None:
    """Cell by cell, for the roles of PostgREST; people who signed in are one role there."""
    there, differs = found(tenants), []
    for line in EXPECTED:
        for who in WHO:
            role = ROLE.get(who, "authenticated")
            granted = catalog.granted(tenants.world.connection, there[line.catalog_kind, line.name], role)
            if granted != line.right(who):
                differs.append(f"{line.name}: {who} has {granted}, the file says {line.cells[who]}")
    assert differs == []


def test_nobody_has_a_right_that_the_file_has_no_word_for(tenants: Tenants) -> None:
    """No truncate, references, trigger or maintain; nothing to PUBLIC or to another role, or to give on."""
    rows = tenants.world.rows(
        """
        select c.oid::regclass::text as name, x.grantee::regrole::text as grantee,
            x.privilege_type, x.is_grantable
        from pg_class as c
        cross join lateral (
            select e.* from aclexplode(c.relacl) as e
            union all
            select e.* from pg_attribute as a, aclexplode(a.attacl) as e where a.attrelid = c.oid
        ) as x
        where c.relnamespace::regnamespace::text = any (%(schemas)s) and x.grantee <> c.relowner
            and (
                x.is_grantable or x.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
                or x.grantee = 0 or x.grantee::regrole::text <> all (%(roles)s)
            )
        union all
        select p.oid::regprocedure::text, x.grantee::regrole::text, x.privilege_type, x.is_grantable
        from pg_proc as p
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as x
        where p.pronamespace::regnamespace::text = any (%(schemas)s) and x.grantee <> p.proowner
            and (x.is_grantable or x.grantee = 0 or x.grantee::regrole::text <> all (%(roles)s))
        """.replace("%(schemas)s", "%s").replace("%(roles)s", "%s"),
        list(catalog.SCHEMAS), list(API_ROLES), list(catalog.SCHEMAS), list(API_ROLES),
    )  # fmt: skip
    assert rows == []


def as_(tenants: Tenants, who: str, agency: int = 0) -> list[UUID]:
    """Makes the session that of `who` (a manager or a client: of agency A or B); the ids that are theirs."""
    one = (tenants.a, tenants.b)[agency]
    role = ROLE.get(who, "authenticated")
    act_as(tenants.world, role, tenants.person(who, one) if role == "authenticated" else None)
    return tenants.mine(who, one)


def again(tenants: Tenants) -> None:
    """Back to the owner, and nothing was done."""
    tenants.world.connection.rollback()


def rows_of(tenants: Tenants, name: str) -> list[str]:
    """Every row that the session sees of a table, as text."""
    return sorted(row["row"] for row in tenants.world.rows(f"select t::text as row from {name} as t"))


@pytest.mark.parametrize("line", RELATIONS, ids=lambda line: line.name)
def test_rows_that_are_read_are_the_ones_that_the_file_says(tenants: Tenants, line: Expected) -> None:
    """none: no row. own: each row that is about this agency, or this client, and no other. all: all."""
    every = rows_of(tenants, line.name)
    again(tenants)
    for who in WHO:
        for agency in (0, 1) if who in ("manager", "client") else (0,):
            mine = as_(tenants, who, agency)
            if "r" not in line.right(who):
                assert tenants.world.refusal(f"select * from {line.name}") == DENIED, who
            else:
                assert every, f"give {line.name} rows in tests/security/tenants.py"
                whose = line.cells[who].partition(":")[2]
                own = [row for row in every if any(str(each) in row for each in mine)]
                expected = {"none": [], "own": own, "all": every}[whose]
                assert rows_of(tenants, line.name) == expected, who
                assert whose != "own" or 0 < len(expected) < len(every), f"{who}: no row of their own"
            again(tenants)


def _change(letter: str, table: str, column: str) -> str:
    names = sql.Identifier(*table.split(".")), sql.Identifier(column)
    statement = {
        "c": sql.SQL("insert into {0} default values"),
        "u": sql.SQL("update {0} set {1} = {1}"),
        "d": sql.SQL("delete from {0}"),
    }[letter]
    return statement.format(*names).as_string(None)


@pytest.mark.parametrize("line", TABLES, ids=lambda line: line.name)
def test_rows_are_changed_by_whom_the_file_says(tenants: Tenants, line: Expected) -> None:
    """Insert, update, delete: refused for want of a right, or not refused for that. Not even rows of one's
    own."""
    column = tenants.world.value(
        "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and not attisdropped and attidentity = '' order by attnum limit 1", line.name,
    )  # fmt: skip
    again(tenants)
    for who in WHO:
        for letter in "cud":
            as_(tenants, who)
            refusal = tenants.world.refusal(_change(letter, line.name, column))
            assert (refusal != DENIED) == (letter in line.right(who)), f"{who} {VERBS[letter]}: {refusal}"
            again(tenants)


@pytest.mark.parametrize(
    "line", [each for each in EXPECTED if each.kind == "column"], ids=lambda line: line.name
)
def test_single_columns_are_changed_by_whom_the_file_says(tenants: Tenants, line: Expected) -> None:
    """Where a table as a whole may not be."""
    table, _, column = line.name.rpartition(".")
    for who in WHO:
        as_(tenants, who)
        refusal = tenants.world.refusal(_change("u", table, column))
        assert (refusal is None) == (line.right(who) == "u"), f"{who}: {refusal}"
        again(tenants)


def call_of(tenants: Tenants, name: str) -> str:
    """A call of a function with texts and nulls that no planner foresees: it would leave the call away."""
    types = tenants.world.value(
        "select array(select t::regtype::text from unnest(p.proargtypes) as t) from pg_proc as p"
        " where p.oid = %s::regproc", name,
    )  # fmt: skip
    again(tenants)
    texts = {"text": "v.x", "anyarray": "array[v.x]"}
    given = ", ".join(texts.get(kind, f"v.none::{kind}") for kind in types)
    return f"select {name}({given}) from (select 'x' as x, null as none offset 0) as v"


def is_denied(tenants: Tenants, statement: str) -> tuple[bool, str | None]:
    """Whether the right to call it is what is missing; and what went wrong."""
    try:
        tenants.world.rows(statement)
    except psycopg.Error as error:
        name = statement.partition("(")[0].rpartition(".")[2].removeprefix("select ")
        said = str(error.diag.message_primary)
        return said in (f"permission denied for function {name}", *_NO_SCHEMA), f"{error.sqlstate}: {said}"
    return False, None


_ANY_TRIGGER = "suppress_redundant_updates_trigger"
_NO_SCHEMA = [f"permission denied for schema {name}" for name in catalog.SCHEMAS]


@pytest.mark.parametrize("who", WHO)
def test_functions_are_executed_by_whom_the_file_says(tenants: Tenants, who: str) -> None:
    """By calling each. What a definer function refuses by itself counts as executed, `refused` apart."""
    calls = {line.name: call_of(tenants, line.name) for line in CALLABLE}
    differs = []
    for line in CALLABLE:
        as_(tenants, who)
        denied, code = is_denied(tenants, calls[line.name])
        happened = "-" if denied else "refused" if code == NOT_A_MANAGER else "execute"
        if happened != line.cells[who]:
            differs.append(f"{line.name}: {happened} ({code}), the file says {line.cells[who]}")
        again(tenants)
    assert differs == [], "\n".join(differs)


@pytest.mark.parametrize("who", WHO)
def test_sequences_and_schemas_are_closed(tenants: Tenants, who: str) -> None:
    """Nobody takes a number of a sequence or makes an object in a schema of ours."""
    sequences = [line.name for line in EXPECTED if line.kind == "sequence"]
    for statement in (
        *(f"select nextval('{name}')" for name in sequences),
        *(f"select setval('{name}', 1)" for name in sequences),
        *(f"create table {schema}.mine (id integer)" for schema in catalog.SCHEMAS),
        *(
            f"create function {schema}.mine() returns integer language sql return 1"
            for schema in catalog.SCHEMAS
        ),
    ):
        as_(tenants, who)
        assert tenants.world.refusal(statement) == DENIED, statement
        again(tenants)


@pytest.mark.scoreboard("S9", tier="landing")
@pytest.mark.parametrize("line", CHANGED_ONLY_BY_FUNCTIONS, ids=lambda line: line.name)
def test_no_role_touches_a_state_table_past_its_functions(tenants: Tenants, line: Expected) -> None:
    """Not even service_role with BYPASSRLS, in any way that a table can be touched: read, written, locked,
    emptied, given a trigger or a policy."""
    for who in ("anon", "manager", "service_role"):
        for statement in (
            f"select 1 from {line.name}",
            f"insert into {line.name} default values",
            f"delete from {line.name}",
            f"truncate {line.name} cascade",
            f"lock table {line.name} in access share mode",
            f"create trigger t before update on {line.name} execute function {_ANY_TRIGGER}()",
            f"alter table {line.name} disable row level security",
            f"create policy mine on {line.name}",
            f"comment on table {line.name} is 'mine'",
        ):
            as_(tenants, who)
            assert tenants.world.refusal(statement) == DENIED, f"{who}: {statement}"
            again(tenants)


@pytest.mark.scoreboard("S9", tier="landing")
@pytest.mark.parametrize("who", WHO)
def test_no_trigger_is_put_where_our_functions_write(tenants: Tenants, who: str) -> None:
    """It would run with their owner's rights: a way from service_role to the owner of everything."""
    for line in TABLES:
        as_(tenants, who)
        tenants.world.rows(
            "create function pg_temp.mine() returns trigger language plpgsql as 'begin return new; end'"
        )
        statement = f"create trigger t before update on {line.name} execute function pg_temp.mine()"
        assert tenants.world.refusal(statement) == DENIED, line.name
        again(tenants)
        as_(tenants, who)
        assert tenants.world.refusal(f"truncate {line.name} cascade") == DENIED, line.name
        again(tenants)


@pytest.mark.scoreboard("S9", tier="landing")
def test_service_role_changes_of_a_number_only_what_the_seed_gave_it(tenants: Tenants) -> None:
    """Neither the counter, nor the tenant, nor what halts it, nor a webhook's secret: functions do."""
    columns = tenants.world.rows(
        "select attname::text as name from pg_attribute"
        " where attrelid = 'public.whatsapp_instances'::regclass and attnum > 0 and not attisdropped"
    )
    again(tenants)
    changed = set()
    for column in columns:
        as_(tenants, "service_role")
        if tenants.world.refusal(_change("u", "public.whatsapp_instances", column["name"])) is None:
            changed.add(column["name"])
        again(tenants)
    assert changed == {
        *("name", "phone_number", "zapi_instance_id", "zapi_token", "zapi_client_token"),
        *("max_users", "status", "created_at"),
    }


def test_every_function_that_changes_something_takes_part_in_the_deadlock_test() -> None:
    """Whoever adds one finds here that tests/database/actions.py wants it too; a reader is not asked for."""
    executable = [line for line in CALLABLE if any(line.right(who) == "execute" for who in WHO)]
    moving = {line.name.rpartition(".")[2] for line in executable if line.kind == "function"}
    reading = {line.name.rpartition(".")[2] for line in executable if line.kind == "reader"}
    assert moving == set(FUNCTIONS) | set(MANAGERS)
    assert not reading & (set(FUNCTIONS) | set(MANAGERS))


@pytest.mark.scoreboard("S16", tier="landing")
def test_another_agency_s_client_and_none_are_the_same_to_every_function(tenants: Tenants) -> None:
    """A manager who knows the id of somebody else's client learns nothing by it, whatever they call."""
    by_client = tenants.world.rows(
        "select p.oid::regproc::text as name, p.proargnames, p.pronargs from pg_proc as p"
        " where has_function_privilege('authenticated', p.oid, 'execute')"
        " and p.pronamespace = 'messaging'::regnamespace and 'p_client_id' = any (p.proargnames)"
    )
    again(tenants)
    assert len(by_client) >= 10
    for function in by_client:
        answers = set()
        for client in (tenants.clients[tenants.b.manager_id][0], uuid4()):
            as_(tenants, "manager")
            answers.add(
                _answer(tenants, f"select {function['name']}(p_client_id => %s{_others(function)})", client)
            )
            again(tenants)
        assert len(answers) == 1, (function["name"], answers)


def _others(function: dict[str, object]) -> str:
    names = function["proargnames"]
    assert isinstance(names, list) and isinstance(function["pronargs"], int)
    given = [name for name in names[: function["pronargs"]] if name != "p_client_id"]
    return "".join(f", {name} => '{_SENSIBLE.get(name, 'x')}'" for name in given)


_SENSIBLE = {
    "p_settings": json.dumps({"frequency": "daily", "phone_number": "5511987650001"}),
    "p_alerts": "[]",
    "p_accounts": json.dumps([{"ad_account_id": "act_9"}]),
    "p_limit": "10",
}


def _answer(tenants: Tenants, statement: str, client: UUID) -> str:
    try:
        return repr(tenants.world.rows(statement, client))
    except psycopg.Error as error:
        return f"{error.sqlstate} {str(error.diag.message_primary).replace(str(client), 'ID')}"
