"""Builders for the tests of agencies: a manager, clients, connections, figures, settings, alerts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.database.world import Row, World

TOKEN = "EAAB" + "t" * 40
PHONE = "5511987650001"


@dataclass
class Agency:
    """One manager's agency over a world."""

    world: World
    manager_id: UUID = field(default_factory=uuid4)
    role: str = "manager"

    def __post_init__(self) -> None:
        self.world.rows(
            "insert into public.user_roles (user_id, role) values (%s, %s)", self.manager_id, self.role
        )

    def describe(self, name: str | None = None, time_zone: str = "America/Sao_Paulo") -> None:
        """The agency's own settings."""
        self.world.rows(
            "insert into public.agency_settings (agency_id, agency_name, time_zone) values (%s, %s, %s)"
            " on conflict (agency_id) do update set agency_name = excluded.agency_name,"
            " time_zone = excluded.time_zone",
            self.manager_id, name, time_zone,
        )  # fmt: skip

    def client(self, label: str | None = "Padaria Sol") -> UUID:
        """A client of the agency."""
        client: UUID = self.world.value(
            "insert into public.client_manager_links (manager_id, client_label) values (%s, %s)"
            " returning client_user_id",
            self.manager_id, label,
        )  # fmt: skip
        return client

    def connect(self, client: UUID | None = None, *, was_open: bool = True, status: str = "active") -> UUID:
        """A connection of a client (None: the agency's own) with its number; `was_open`: it was scanned."""
        name = f"adscape_{uuid4().hex[:16]}"
        mirrored = "pending" if not was_open else "connected" if status == "active" else "disconnected"
        instance: UUID = self.world.value(
            "insert into public.whatsapp_instances (name, provider, evolution_instance_name, agency_id,"
            " in_pool, accepts_new, max_users, status) values (%s, 'evolution', %s, %s, false, false, 0, %s)"
            " returning id",
            name, name, self.manager_id, status,
        )  # fmt: skip
        self.world.rows("select messaging.set_gaps(%s, 0, 0, 'test')", instance)
        self.world.rows(
            "insert into public.whatsapp_connections (agency_id, client_id, instance_name, status,"
            " first_connected_at, whatsapp_instance_id) values (%s, %s, %s, %s,"
            " case when %s then messaging.clock() end, %s)",
            self.manager_id, client, name, mirrored, was_open, instance,
        )  # fmt: skip
        return instance

    def setting(self, client: UUID, **columns: object) -> None:
        """Report settings as a table holds them: active, daily at nine, unless the columns say otherwise."""
        values = {
            "frequency": "daily",
            "send_time": "09:00",
            "phone_number": PHONE,
            "is_active": True,
            "metrics": json.dumps({}),
        } | columns
        self.world.rows(
            f"insert into public.whatsapp_report_settings (agency_id, client_id, {', '.join(values)})"
            f" values (%s, %s{', %s' * len(values)})",
            self.manager_id, client, *values.values(),
        )  # fmt: skip

    def change(self, client: UUID, **columns: object) -> None:
        """What another program writes into the settings."""
        setters = ", ".join(f"{column} = %s" for column in columns)
        self.world.rows(
            f"update public.whatsapp_report_settings set {setters} where client_id = %s",
            *columns.values(), client,
        )  # fmt: skip

    def account(self, client: UUID, account: str = "act_1", **columns: object) -> str:
        """An ad account of the client, Meta's."""
        values = {"account_name": "Conta principal", "provider": "meta_ads"} | columns
        self.world.rows(
            f"insert into public.client_ad_accounts (client_id, ad_account_id, {', '.join(values)})"
            f" values (%s, %s{', %s' * len(values)})",
            client, account, *values.values(),
        )  # fmt: skip
        return account

    def alert(self, client: UUID | None, account: str = "act_1", **columns: object) -> UUID:
        """An active alert below a hundred reais."""
        values = {"threshold_value": 100, "recipient_phone": PHONE} | columns
        alert: UUID = self.world.value(
            f"insert into public.account_balance_alerts (agency_id, client_id, ad_account_id,"
            f" {', '.join(values)}) values (%s, %s, %s{', %s' * len(values)}) returning id",
            self.manager_id, client, account, *values.values(),
        )  # fmt: skip
        return alert

    def token(self, token: str | None = TOKEN, **columns: object) -> None:
        """The manager's connection to the ad platform."""
        values = {"provider": "meta_ads", "connected": True} | columns
        self.world.rows(
            f"insert into public.oauth_connections (manager_id, access_token, {', '.join(values)})"
            f" values (%s, %s{', %s' * len(values)})",
            self.manager_id, token, *values.values(),
        )  # fmt: skip

    def act(self) -> None:
        """From now on the session's calls are the manager's."""
        act_as(self.world, self.manager_id)


def act_as(world: World, user_id: UUID | None) -> None:
    """From now on the session's calls are this person's; None: nobody's."""
    claims = "" if user_id is None else json.dumps({"sub": str(user_id)})
    world.rows("select set_config('request.jwt.claims', %s, false)", claims)


def figures(world: World, client: UUID, day: str, days: int = 1, **columns: object) -> None:
    """The same figures on each of these days."""
    for number in range(days):
        world.rows(
            f"insert into public.daily_metrics (client_id, date, {', '.join(columns)})"
            f" values (%s, %s{', %s' * len(columns)})",
            client, date.fromisoformat(day) + timedelta(number), *columns.values(),
        )  # fmt: skip


def due(world: World, client: UUID | None = None, *, forced: bool = False) -> list[dict[str, Any]]:
    """The reports that are due."""
    found = world.value("select messaging.due_reports(%s, null, %s)", client, forced)
    reports: list[dict[str, Any]] = found["reports"]
    return reports


def enqueued(world: World, row: Mapping[str, Any], text: str = "Relatório", **fields: object) -> int:
    """The message of a due report, as shared/reports enqueues it; its id."""
    names = ("client_id", "spoken_by", "sent_from", "period_start", "period_end")
    facts = {name: row[name] for name in names} | {"report_period_type": row["period_type"]}
    return world.enqueue(
        UUID(row["instance_id"]),
        **{
            "purpose": "agency_report",
            "phone": row["phone"],
            "subject_id": row["client_id"],
            "dedupe_key": row["dedupe_key"],
            "facts": facts,
            "content": {"kind": "text", "text": text},
        }
        | fields,
    )


def logs(world: World) -> list[Row]:
    """The report log, oldest first."""
    return world.rows("select * from public.whatsapp_report_logs order by sent_at, id")
