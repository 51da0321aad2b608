"""Two agencies with clients, and the house: rows of each where somebody but the owner may read."""

import json
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID, uuid4

from psycopg import sql

from tests.database.agency_world import Agency
from tests.database.world import World

# Where a value of the column's type does not do.
_VALUES: dict[str, object] = {
    "sessions.duration_minutes": 30,
    "session_ratings.rating": 5,
    "journey_episodes.episode_number": 1,
}
_BY_TYPE: dict[str, object] = {
    "text": "x",
    "integer": 1,
    "bigint": 1,
    "numeric": 1,
    "boolean": True,
    "jsonb": "{}",
    "date": "2026-11-01",
    "timestamp with time zone": "2026-11-01 12:00+00",
    "time without time zone": "09:00",
}


@dataclass
class Tenants:
    """Agencies A and B, one client each for the whole world to tell apart, and a person of the house."""

    world: World
    a: Agency = field(init=False)
    b: Agency = field(init=False)
    clients: dict[UUID, list[UUID]] = field(default_factory=dict)
    numbers: dict[UUID, UUID] = field(default_factory=dict)
    stranger: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.a, self.b = Agency(self.world), Agency(self.world)
        for number, agency in enumerate((self.a, self.b)):
            self._found(agency, number)
        self._fill_the_house()

    def mine(self, who: str, agency: Agency) -> list[UUID]:
        """The ids that make a row this person's: the manager's agency and clients, or the client's own."""
        clients = self.clients[agency.manager_id]
        return {"manager": [agency.manager_id, *clients], "client": clients[:1]}.get(who, [])

    def person(self, who: str, agency: Agency) -> UUID:
        """Who signed in."""
        return {
            "manager": agency.manager_id,
            "client": self.clients[agency.manager_id][0],
        }.get(who, self.stranger)

    def _found(self, agency: Agency, number: int) -> None:
        agency.describe("Agência")
        agency.token(f"a-token-of-{number}")
        self.numbers[agency.manager_id] = agency.connect(None)
        self.clients[agency.manager_id] = [agency.client("Um"), agency.client("Outro")]
        for account, client in zip(("act_1", "act_2"), self.clients[agency.manager_id], strict=True):
            agency.connect(client)
            agency.setting(client)
            agency.account(client, account)
            agency.alert(client, account)
            self.world.rows(
                "insert into public.whatsapp_report_logs (agency_id, client_id, status)"
                " values (%s, %s, 'success')",
                agency.manager_id, client,
            )  # fmt: skip
            self.world.rows(
                "insert into public.daily_metrics (client_id, date) values (%s, '2026-11-01')", client
            )

    def _fill_the_house(self) -> None:
        """A number, a person, a message; and where a table of the app is still empty, a row of any kind."""
        self.world.number()
        self.world.sign_up("5511987654321")
        self.world.rows("set session_replication_role = replica")
        for row in self.world.rows(
            "select c.relname::text as name from pg_class as c"
            " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
        ):
            if not self.count(row["name"]):
                self._add_any(row["name"])
        self.world.rows("set session_replication_role = origin")

    def count(self, table: str) -> int:
        """How many rows a table of the app has, as this session sees it."""
        query: LiteralString = (
            sql.SQL("select count(*) from {}").format(sql.Identifier("public", table)).as_string(None)
        )
        return int(self.world.value(query))

    def _add_any(self, table: str) -> None:
        columns = self.world.rows(
            "select c.column_name::text as name, c.data_type as type from information_schema.columns as c"
            " where c.table_schema = 'public' and c.table_name = %s and c.is_nullable = 'NO'"
            " and c.column_default is null",
            table,
        )
        allowed = self._allowed(table)
        values: dict[str, Any] = {}
        for column in columns:
            name, kind = column["name"], column["type"]
            value = str(uuid4()) if kind == "uuid" else _BY_TYPE.get(kind, "x")
            values[name] = allowed.get(name, _VALUES.get(f"{table}.{name}", value))
        places = ", ".join(["%s"] * len(values))
        self.world.rows(
            f"insert into public.{table} ({', '.join(values)}) values ({places})", *values.values()
        )

    def _allowed(self, table: str) -> dict[str, str]:
        """The first value of each check that lists some."""
        rows = self.world.rows(
            "select a.attname::text as name,"
            " (regexp_match(pg_get_constraintdef(k.oid), 'ARRAY\\[''([^'']*)'''))[1] as value"
            " from pg_constraint as k"
            " join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]"
            " where k.conrelid = %s::regclass and k.contype = 'c' and cardinality(k.conkey) = 1",
            f"public.{table}",
        )
        return {row["name"]: row["value"] for row in rows if row["value"]}


def act_as(world: World, role: str, user_id: UUID | None) -> None:
    """From now on the session has this role's rights and this person's claims, as shared.db gives them."""
    claims = {"sub": str(user_id), "role": role} if user_id else {"role": role}
    world.rows("select set_config('request.jwt.claims', %s, true)", json.dumps(claims))
    world.rows(f"set local role {role}")
