"""The functions of agencies that change state, as actions with random but sensible arguments: actions.py."""

import json
import random
import uuid
from collections.abc import Callable

from tests.database.world import World

Action = Callable[[World, random.Random], object]

AGENCY = uuid.UUID("a0000000-0000-4000-8000-0000000000a1")
CLIENTS = [uuid.UUID(f"c{index}000000-0000-4000-8000-0000000000c1") for index in range(3)]
A_CONNECTED = (
    "(select id from public.whatsapp_instances where provider = 'evolution' order by random() limit 1)"
)


def found_agency(world: World) -> None:
    """The manager and the clients, where they are missing."""
    world.rows(
        "insert into public.user_roles (user_id, role) values (%s, 'manager') on conflict do nothing", AGENCY
    )
    for client in CLIENTS:
        world.rows(
            "insert into public.client_manager_links (client_user_id, manager_id, client_label)"
            " values (%s, %s, 'Client') on conflict do nothing",
            client,
            AGENCY,
        )
        for account in ("act_1", "act_2", "act_3"):
            world.rows(
                # Somebody may just remove the client again.
                "insert into public.client_ad_accounts (client_id, ad_account_id)"
                " select l.client_user_id, %s from public.client_manager_links as l"
                " where l.client_user_id = %s for key share on conflict do nothing",
                account,
                client,
            )


def as_manager(call: str) -> Action:
    """The call of a manager, about one of the clients or about the agency itself."""

    def act(world: World, source: random.Random) -> object:
        world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(AGENCY)}))
        return world.rows(f"select * from messaging.{call}", source.choice([*CLIENTS, None]))

    return act


def on_number(call: str, choices: list[object] | None = None) -> Action:
    """The call of a service about some number of an agency; nothing while there is none."""

    def act(world: World, source: random.Random) -> object:
        if world.value(f"select {A_CONNECTED}") is None:
            return None
        given = [source.choice(choices)] if choices else []
        return world.rows(f"select * from messaging.{call}", *given)

    return act


def accept_agency_event(world: World, source: random.Random) -> object:
    """What somebody wrote to an agency's number, a word, a stop or a start, or a receipt. A LID passes from
    phone to phone."""
    if world.value(f"select {A_CONNECTED}") is None:
        return None
    kind = source.choice(["message", "delivery"])
    return world.rows(
        f"select * from messaging.accept_agency_event({A_CONNECTED}, %s, %s, '{{}}', %s, 'SAIR',"
        " p_command => %s, p_receipt => %s, p_receipt_ids => array['P1'], p_lid => %s)",
        f"E{source.choice([source.randrange(10**9), source.randrange(5)])}",
        kind,
        f"55119{source.randrange(10):08d}",
        source.choice([None, "stop", "start"]) if kind == "message" else None,
        "delivered" if kind == "delivery" else None,
        source.choice([None, f"{source.randrange(3)}@lid"]),
    )


def log_unsent_reports(world: World, source: random.Random) -> object:
    """A report of some client that could not go, of few keys."""
    report = {"agency_id": str(AGENCY), "client_id": str(source.choice(CLIENTS)), "error_message": "no phone"}
    rows = [report | {"dedupe_key": f"report:{source.randrange(5)}"} for _ in range(3)]
    return world.value("select messaging.log_unsent_reports(%s)", json.dumps(rows))


def as_manager_saves(call: str, given: list[object]) -> Action:
    """A manager saves one of these for one of the clients; the agency itself is refused."""

    def act(world: World, source: random.Random) -> object:
        world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(AGENCY)}))
        return world.rows(
            f"select * from messaging.{call}(%s, %s)",
            source.choice([*CLIENTS, None]),
            json.dumps(source.choice(given)),
        )

    return act


def write_to_a_client(world: World, source: random.Random) -> object:
    """A report, or an alert of an ad account, enqueued for a client on its own number or the agency's."""
    client = source.choice(CLIENTS)
    number = world.value(
        "select id from public.whatsapp_instances where evolution_instance_name"
        " in (messaging.connection_name(%s, %s), messaging.connection_name(%s, null))"
        " order by random() limit 1",
        AGENCY, client, AGENCY,
    )  # fmt: skip
    alert = world.value(
        "select id from public.account_balance_alerts where client_id = %s order by random() limit 1", client
    )
    if number is None:
        return None
    told = {"client_id": str(client), "spoken_by": "client", "sent_from": "adscape_c"}
    purpose, subject = ("balance_alert", alert) if alert else ("agency_report", client)
    return world.enqueue(
        number,
        purpose=purpose,
        subject_id=str(subject),
        facts=told,
        dedupe_key=f"a{source.randrange(100)}",
        phone=f"55119{source.randrange(10):08d}",
    )


def decide_own_unknown(world: World, source: random.Random) -> object:
    """A manager decides of some uncertain message of the agency; of another's, or a settled one, refused."""
    world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(AGENCY)}))
    return world.value(
        "select messaging.decide_own_unknown("
        "(select id from messaging.outbox where agency_id is not null"
        " order by dispatch_state = 'unknown' desc, random() limit 1), %s, 'a test')",
        source.choice(["resend", "consider_sent", "drop"]),
    )


def remove_client(world: World, source: random.Random) -> object:
    """A manager removes a client, who comes back."""
    as_manager("remove_client(%s)")(world, source)
    found_agency(world)
    return None


def remove_link(world: World, source: random.Random) -> object:
    """The app removes a client, past our functions; it comes back."""
    world.rows("delete from public.client_manager_links where client_user_id = %s", source.choice(CLIENTS))
    found_agency(world)
    return None


FUNCTIONS: dict[str, Action] = {
    "show_qr": on_number(f"show_qr({A_CONNECTED}, %s)", ["2@a,b,c,d", "2@e,f,g,h"]),
    "set_pairing": on_number(f"set_pairing({A_CONNECTED}, %s)", ["connecting", "expired", "refused"]),
    "take_qr_renewal": on_number(f"take_qr_renewal({A_CONNECTED}, 0)"),
    "take_lifecycle": on_number(f"take_lifecycle({A_CONNECTED}, 'w', 1)"),
    "give_lifecycle": on_number(
        f"give_lifecycle({A_CONNECTED}, (select lifecycle_token from messaging.pairings"
        " where lifecycle_token is not null limit 1))"
    ),
    "take_stale_pairings": lambda world, source: world.rows(
        "select * from messaging.take_stale_pairings(%s, 2)", source.choice([0, 60])
    ),
    "pairing_stopped": on_number(f"pairing_stopped({A_CONNECTED})"),
    "take_orphans": lambda world, source: world.rows("select * from messaging.take_orphans(2)"),
    "orphan_removed": on_number(f"orphan_removed({A_CONNECTED})"),
    "note_connecting": on_number(f"note_connecting({A_CONNECTED})"),
    "ask_health_soon": on_number(f"ask_health_soon({A_CONNECTED})"),
    "accept_agency_event": accept_agency_event,
    "log_unsent_reports": log_unsent_reports,
}
# What a manager's own token may execute.
MANAGERS: dict[str, Action] = {
    "begin_connection": as_manager("begin_connection(%s)"),
    "end_connection": as_manager("end_connection(%s)"),
    "pairing_view": as_manager("pairing_view(%s)"),
    "save_report_settings": as_manager_saves(
        "save_report_settings",
        [{"frequency": "daily", "phone_number": "5511987650001"}, {"metrics": {"roas": False}}],
    ),
    "save_balance_alerts": as_manager_saves(
        "save_balance_alerts",
        [
            [{"ad_account_id": "act_1", "threshold_value": 9, "recipient_phone": "5511987650001"}],
            [
                {"ad_account_id": f"act_{index}", "threshold_value": 9, "is_active": False}
                for index in (3, 2, 1)
            ],
        ],
    ),
}
MANAGERS |= {
    "decide_own_unknown": decide_own_unknown,
    "rename_client": as_manager("rename_client(%s, 'Client')"),
    "remove_client": remove_client,
    "save_accounts": as_manager_saves(
        "save_accounts",
        [[{"ad_account_id": "act_1"}], [{"ad_account_id": "act_2"}, {"ad_account_id": "act_1"}]],
    ),
}
FUNCTIONS["add_client"] = lambda world, source: world.rows(
    "select messaging.add_client(%s, %s, 'cliente@example.com', 'Client')", AGENCY, source.choice(CLIENTS)
)
APP: dict[str, Action] = {"app removes a client": remove_link, "agency writes to a client": write_to_a_client}
