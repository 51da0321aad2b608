"""A rollback over all of schema messaging: what nothing else holds is not dropped without a word."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from scripts.migrate import MIGRATIONS, apply_all, rollback, status
from shared.errors import WouldDiscardData
from tests.migration.projects import Project, project, silent

# What may go without a word, and why.
TRANSIENT_TABLES = {
    "control": "one row, made by its migration; that somebody paused is guarded as a column",
    "senders": "a row per number, made from the numbers; the pace that somebody set is guarded as columns",
    "purposes": "rules that the migrations write",
    "transitions": "moves that the migrations write",
    "pool_slots": "derived from the numbers, filled by its migration",
    "turns": "each only names events that wait, and those are guarded",
    "schedules": "a scheduler that starts writes it",
    "unknown_looks": "what it knew is looked for and told once more",
    "sign_up_buckets": "what was asked of late leaks away within a day",
    "bucket_key": "one row, drawn anew by its migration",
}
TRANSIENT_COLUMNS = {
    "purposes.do_not_disturb": "a rule that the migrations write",
    "purposes.opt_out": "a rule that the migrations write",
    "purposes.silence": "a rule that the migrations write",
    "purposes.nudge": "a rule that the migrations write",
    "purposes.on_rejected": "a rule that the migrations write",
    "purposes.newest_only": "a rule that the migrations write",
    "outbox.compose_token": "a worker's lease",
    "outbox.compose_until": "a worker's lease",
    "outbox.compose_count": "a worker's lease",
    "senders.down_since": "where a number is on its way back",
    "senders.returned_at": "where a number is on its way back",
    "senders.return_due_at": "where a number is on its way back",
    "senders.return_token": "where a number is on its way back",
    "senders.return_failures": "where a number is on its way back",
    "senders.return_failure": "where a number is on its way back",
    "senders.paced_since_return": "where a number is on its way back",
    "senders.reply_after": "where a number is on its way back",
    "senders.wait_until": "an hour at most, and the slot was moved with it",
}
# What a person set in a row that comes with its table.
SETTINGS = {
    "control.paused_at": "now(), paused_by = 'Ana'",
    "senders.gap_min_s": "1",
    "senders.gap_max_s": "3000",
    "senders.reply_gap_s": "6",
    "senders.reply_push_max_s": "7",
    "senders.ramp_factor": "4",
    "senders.ramp_messages": "5",
}
# A value for each column that needs one; what else fits the checks stands in FITTING.
BY_TYPE = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "jsonb": """'{"a": 1}'""",
    "timestamp with time zone": "now() + interval '1 hour'",
    "bigint": "1",
    "integer": "1",
    "numeric": "2",
    "boolean": "false",
    "bytea": "'x'",
    "ARRAY": "'{}'",
}
FITTING = {
    "outbox.lane": "'bulk'",
    "outbox.on_unknown": "'hold'",
    "outbox.dispatch_state": "'queued'",
    "outbox.created_at": "now()",
    "receipts.receipt": "'sent'",
    "inbound_events.kind": "'message'",
    "inbound_events.command": "'stop'",
    "decisions.decision": "'drop'",
    "evidence.says": "'sent'",
    "evidence.source": "'silence'",
    "sightings.source": "'provider_search'",
    "sightings.sent_by": "'api'",
    "pairings.ended_after_id": "7",
}


def made_by() -> dict[str, str]:
    """The migration that makes each table of messaging, and each column added to one later."""
    found: dict[str, str] = {}
    for file in sorted(MIGRATIONS.glob("*.sql")):
        if file.name.endswith(".rollback.sql"):
            continue
        text = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        found |= dict.fromkeys(re.findall(r"create table messaging\.(\w+)", text), file.stem)
        for table, added in re.findall(r"alter table messaging\.(\w+)([^;]*);", text):
            found |= {f"{table}.{column}": file.stem for column in re.findall(r"add column (\w+)", added)}
    return found


A_NUMBER = (
    "insert into public.whatsapp_instances (name, zapi_instance_id, zapi_token, zapi_client_token)"
    " values ('a number', 'I', 't', 'c')"
)
MADE_BY = made_by() | dict.fromkeys(
    (each for each in SETTINGS if each.startswith("control")), "0004.messaging"
)
MADE_BY |= {each: "0007.outbox" for each in SETTINGS if each not in MADE_BY}
KEPT = sorted(
    set(MADE_BY) - set(TRANSIENT_TABLES) - set(TRANSIENT_COLUMNS), key=lambda each: (MADE_BY[each], each)
)


@pytest.fixture(scope="module")
def head(server_url: str) -> Iterator[Project]:
    """A migrated project with one number and nothing else."""
    with project(server_url) as found:
        apply_all(found.url, silent)
        with found.connect() as connection:
            connection.execute(A_NUMBER)
        yield found


def fill(connection: psycopg.Connection[Any], what: str) -> None:
    """One row of this table, or one value of this column; what it refers to need not be there."""
    table, _, column = what.partition(".")
    connection.execute("set session_replication_role = replica")
    if what in SETTINGS:
        connection.execute(f"update messaging.{table} set {column} = {SETTINGS[what]}".encode())
        return
    columns = connection.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'messaging' and table_name = %s and is_identity = 'NO'"
        " and (is_nullable = 'NO' and column_default is null or column_name = %s"
        " or %s || column_name = any(%s))",
        [table, column, f"{table}.", list(FITTING)],
    ).fetchall()
    values = {name: FITTING.get(f"{table}.{name}", BY_TYPE.get(kind, "null")) for name, kind in columns}
    if what != "inbound_events.command":
        values.pop("command", None)
    connection.execute(
        f"insert into messaging.{table} ({', '.join(values)}) values ({', '.join(values.values())})".encode()
    )


def empty(connection: psycopg.Connection[Any], what: str) -> None:
    """Undoes fill."""
    table, _, column = what.partition(".")
    if what in SETTINGS:
        also = ", paused_by = default" if table == "control" else ""
        connection.execute(f"update messaging.{table} set {column} = default{also}".encode())
    else:
        connection.execute(f"delete from messaging.{table}".encode())


def before(migration: str, names: list[str]) -> str:
    """What to roll back to, so that this migration goes."""
    return names[names.index(migration) - 1]


def test_every_table_and_column_of_messaging_is_known_here(head: Project) -> None:
    """What the files are read to make is what there is; and what may go is there."""
    with head.connect() as connection:
        tables = {
            name
            for (name,) in connection.execute(
                "select tablename from pg_tables where schemaname = 'messaging'"
            )
        }
    assert {each for each in MADE_BY if "." not in each} == tables
    assert set(TRANSIENT_TABLES) | set(TRANSIENT_COLUMNS) <= set(MADE_BY)


@pytest.mark.parametrize("what", KEPT)
def test_a_record_is_not_dropped_without_being_told_so(head: Project, what: str) -> None:
    """One row or value refuses the rollback of the migration that makes it, by name; all is as it was."""
    names = [each.name for each in status(head.url)]
    with head.connect() as connection:
        fill(connection, what)
        try:
            told = (
                "messaging.senders"
                if what in SETTINGS and MADE_BY[what] == "0007.outbox"
                else f"messaging.{what}"
            )
            with pytest.raises(WouldDiscardData, match=rf"{re.escape(told)} holds 1 (rows|values)"):
                rollback(head.url, before(MADE_BY[what], names), say=silent)
            assert {each.state for each in status(head.url)} == {"applied"}
        finally:
            empty(connection, what)


def test_told_to_discard__all_of_it_goes(server_url: str) -> None:
    """With a row in every table and a value in every setting it goes through, and migrates again."""
    with project(server_url) as found:
        schema = found.dump()
        apply_all(found.url, silent)
        head_schema = found.dump()
        with found.connect() as connection:
            connection.execute(A_NUMBER)
            for what in KEPT:
                if "." not in what or what in SETTINGS:
                    fill(connection, what)
            with pytest.raises(WouldDiscardData):
                rollback(found.url, "0001", say=silent)
        assert found.dump() == head_schema
        rollback(found.url, "all", discard_data=True, say=silent)
        assert found.dump() == schema
        apply_all(found.url, silent)
        assert found.dump() == head_schema
