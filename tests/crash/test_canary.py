"""Canaries in every secret: real processes, forced errors of every kind, and then a search everywhere."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.embedded import EmbeddedPostgres
from tests.crash import canary
from tests.crash.canary import FUNCTIONS, House
from tests.edge import stripe_events
from tests.edge.evolution_events import PATH as EVOLUTION_WEBHOOK
from tests.waiting import eventually

# Where a canary may be found, and why. Whatever is not here is a leak.
PERSON, TEXT = {"phone", "sender", "name"}, {"text", "said"}
ALLOWED: dict[str, set[str]] = {
    # Who people are and what is said to them is what these tables are for (SECURITY.md, "What is stored").
    "column: public.profiles.": PERSON,
    "column: public.account_balance_alerts.recipient_phone": {"phone"},
    # Of the phone that was paired with a number, as its own provider reports it.
    "column: public.whatsapp_instances.phone_number": {"sender"},
    "column: public.messages.content": PERSON | TEXT,
    "column: messaging.outbox.": PERSON | TEXT,
    "column: messaging.inbound_events.": PERSON | TEXT,
    "column: messaging.turns.": PERSON | TEXT,
}


@pytest.fixture
def here(server: EmbeddedPostgres, database_url: str, tmp_path: Path) -> Iterator[House]:
    """The house, open."""
    with canary.house(server, database_url, tmp_path) as found:
        yield found


def send(here: House, text: str | None = None, *, phone: str | None = None) -> None:
    """The canary text to the canary phone, unless it says otherwise."""
    body = {"phone": phone or here.secrets.phone, "message": text or here.secrets.text}
    here.ask_as_service("send-zapi-message", body)


def inbound(here: House, **changes: object) -> dict[str, object]:
    """A person's message as Z-API tells it, with credentials where a provider might put them."""
    s = here.secrets
    return {
        "type": "ReceivedCallback",
        "instanceId": "5100" + f"{1:028X}",
        "messageId": "CANARY1",
        "phone": s.sender,
        "chatName": s.name,
        "text": {"message": s.said},
        "token": s.zapi_token,
        "clientToken": s.zapi_client_token,
    } | changes


def sends_well_and_badly(here: House) -> None:
    """Accepted; refused by the account; every fault that the provider has."""
    send(here)
    eventually(here.simulator.accepted, 30, "a message accepted")
    here.simulator.control("faults", rate=1.0, seed=1, hang_s=1.5)
    for number in range(6):
        # To others: while it is unknown whether one has a message, that person gets no second one.
        send(here, f"{here.secrets.text} {number}", phone=f"551198123450{number}")
    eventually(lambda: len(here.simulator.faults()) >= 5, 40, "faults at the provider")
    here.simulator.control("faults", rate=0.0, seed=1)
    eventually(
        lambda: here.count("select count(*) from public.whatsapp_instances where halted_reason is not null"),
        30,
        "the number with wrong tokens halted",
    )


def webhooks(here: House) -> None:
    """Authentic, refused in every way, broken, deep, in gzip; with the secret where it should not be."""
    s = here.secrets
    path = f"{FUNCTIONS}/webhook-zapi"
    person = {"name": s.name, "phone": s.sender, "email": "ana@example.com"}
    assert here.ask("sign-up", f"{FUNCTIONS}/start-trial", json=person).status_code == 200
    assert here.ask("webhook", f"{path}/{s.webhook_token}", json=inbound(here)).status_code == 200
    for label, at, body, headers in (
        ("header token", f"{path}/{s.webhook_token}", inbound(here), {"z-api-token": s.zapi_token}),
        ("wrong header", f"{path}/{s.webhook_token}", inbound(here), {"z-api-token": s.guessed}),
        ("bare", path, inbound(here, messageId="CANARY2"), {"z-api-token": s.zapi_token}),
        ("guessed", f"{path}/{s.guessed}", inbound(here), {}),
        ("longer", f"{path}/{s.webhook_token}/more", inbound(here), {}),
        ("other slug", f"{FUNCTIONS}/{s.webhook_token}", inbound(here), {}),
        ("query", f"{path}?token={s.webhook_token}&phone={s.phone}", inbound(here), {}),
    ):
        here.ask(f"webhook {label}", at, json=body, headers=headers)
    text = json.dumps(inbound(here))
    for label, content in (
        ("cut", text[:-20]),
        ("deep", '{"a":' * 80 + f'"{s.said}"' + "}" * 80),
        ("list", json.dumps([text])),
        ("surrogate", text.replace(s.name, "\\ud800")),
        ("huge number", text.replace('"messageId": "CANARY1"', f'"messageId": {"9" * 5000}')),
    ):
        here.ask(f"webhook {label}", f"{path}/{s.webhook_token}", content=content)
    zipped = gzip.compress(text.encode())
    for label, packed in (("gzip", zipped), ("broken gzip", zipped[:-9])):
        headers = {"content-encoding": "gzip"}
        here.ask(f"webhook {label}", f"{path}/{s.webhook_token}", content=packed, headers=headers)
    here.ask("webhook GET", f"{path}/{s.webhook_token}", "GET")
    eventually(
        lambda: here.count("select count(*) from messaging.outbox where purpose = 'answer'"), 30, "an answer"
    )


def connections(here: House) -> None:
    """A client's number is paired, its code shown; Evolution's own events, and events full of canaries."""
    s, client = here.secrets, here.agency.clients[0]
    signed = {"authorization": f"Bearer {s.access}"}
    url = f"{FUNCTIONS}/evolution-whatsapp"
    for action in ("create-instance", "check-status", "get-qrcode", "send-message", s.guessed):
        body = {"action": action, "client_id": str(client), "phone": s.phone, "message": s.text}
        here.ask(f"evolution {action[:15]}", url, json=body, headers=signed)
    here.connection_of(client)
    name = here.agency.name(client)
    events: list[tuple[str, dict[str, object]]] = [
        ("qrcode.updated", {"qrcode": {"code": s.code, "pairingCode": s.pairing_code, "base64": s.code}}),
        ("connection.update", {"state": "open", "statusReason": 200, "wuid": f"{s.sender}@s.whatsapp.net"}),
        (
            "messages.upsert",
            {
                "key": {"remoteJid": f"{s.sender}@s.whatsapp.net", "fromMe": False, "id": "CANARY3"},
                "pushName": s.name,
                "message": {"conversation": s.said},
                "instance": {"hash": {"apikey": s.event_hash}, "token": s.event_hash},
            },
        ),
        (s.guessed, {"hash": s.event_hash}),
    ]
    for event, data in events:
        told: dict[str, object] = {
            "event": event,
            "instance": name,
            "data": data,
            "apikey": s.event_apikey,
            "hash": s.event_hash,
        }
        for label, secret in (("", s.connection_secret), (" refused", s.guessed)):
            here.ask(
                f"evolution webhook{label}",
                EVOLUTION_WEBHOOK,
                json=told,
                headers={"x-roleta-webhook": secret},
            )
    here.ask("evolution webhook cut", EVOLUTION_WEBHOOK, content=json.dumps({"apikey": s.event_apikey})[:-1])


def callers(here: House) -> None:
    """Whoever calls with a wrong secret, at a wrong address, with a wrong body, or with a session."""
    s = here.secrets
    for slug in ("send-zapi-message", "admin-send-message", "evolution-whatsapp", "weekly-report"):
        for label, header in (("guessed", f"Bearer {s.guessed}"), ("scheme", f"Basic {s.service_key}")):
            here.ask(f"{slug} {label}", f"{FUNCTIONS}/{slug}", json={}, headers={"authorization": header})
    for body in (
        {"phone": s.phone, "message": {"not": s.text}},
        {"phone": [s.phone], "message": s.text},
        {"phone": "12", "message": s.text},
        {"user_id": s.guessed, "phone": s.phone, "message": s.text},
        {"phone": s.phone, "message": s.text, "instance_id": s.guessed},
    ):
        here.ask_as_service("send-zapi-message", body)
        here.ask_as_service("admin-send-message", body)
    here.ask_as_service("send-meditation", {"user_id": s.guessed, "phone": s.phone, "category": s.text})
    session = f"roleta_access={s.access}; roleta_refresh={s.session}; roleta_form={s.session}"
    ended = f"roleta_access={s.session}; roleta_refresh={s.session}"
    for path in ("/agency", "/agency/connections", f"/agency/{s.guessed}"):
        here.ask(f"page {path[:9]}", path, "GET", headers={"cookie": session})
        here.ask("page signed out", path, "GET", headers={"cookie": ended})
    signed = stripe_events.event("checkout.session.completed", {"id": s.guessed, "customer": s.session})
    for header in (f"t=1,v1={s.guessed}", ""):
        headers = {"stripe-signature": header}
        here.ask("stripe", stripe_events.PATH, json=signed, headers=headers)
    here.ask("bad path", f"/{s.service_key}", "GET")
    here.ask("bad method", f"{FUNCTIONS}/start-trial", "DELETE", headers={"x-api-key": s.service_key})


def broken_tables(here: House) -> None:
    """The database refuses rows that hold canaries, in handlers and in functions: DETAIL shows such rows."""
    s = here.secrets
    here.execute(
        "alter table public.profiles add constraint no_more check (name is null or name not like 'boom%')",
        "alter table messaging.outbox add constraint no_more check (content ->> 'text' not like 'boom%')",
        "alter table messaging.inbound_events add constraint no_more"
        " check (text is null or text not like 'boom%')",
    )
    body = {"name": f"boom {s.name}", "phone": s.phone, "email": f"{s.name}@example.com"}
    answer = here.ask("start-trial", f"{FUNCTIONS}/start-trial", json=body)
    assert answer.status_code == 500
    send(here, f"boom {s.text}")
    at = f"{FUNCTIONS}/webhook-zapi/{s.webhook_token}"
    here.ask("webhook boom", at, json=inbound(here, messageId="B", text={"message": f"boom {s.said}"}))
    assert here.log("gateway").count("request.failed") >= 3
    here.execute("drop function messaging.due_balance_alerts() cascade")
    here.ask_as_service("check-balance-alerts", {})


def alerts(here: House) -> None:
    """The ad platform is asked with the canary token, which it refuses, slowly or with its own words."""
    for trouble in ("html", "garbage", 500):
        here.platform.trouble("act_1", trouble)
        here.ask_as_service("check-balance-alerts", {})
    here.platform.refuse("act_1", 190)
    here.ask_as_service("check-balance-alerts", {"dry_run": True})


def operators(here: House) -> None:
    """Commands, well and badly set up: what they print, and what they raise."""
    s = here.secrets
    for words in (
        ("status",), ("status", "--json"), ("instance", "list"), ("instance", "list", "--json"), ("audit",),
        ("instance", "test", "Aura #1"), ("instance", "test", "Aura #2"), ("why", "1"), ("effects", "list"),
        ("instance", "rotate-webhook", "Aura #2"), ("migrate", "status"), ("encrypt-credentials", "--yes"),
        ("rotate-keys", "--yes"), ("import-env-instance",), ("run", "check-balance-alerts"),
    ):  # fmt: skip
        here.command(*words)
    address = f"postgresql://postgres:{s.wrong_password}@127.0.0.1:{here.server.port}/none"
    # And with characters in a password that are not written as %40 or %2F: what follows one of them is taken
    # for the host, the port or the database, which a driver repeats.
    odd = [
        address.replace(s.wrong_password, each) for each in (f"a@{s.wrong_password}", f"{s.wrong_password}/a")
    ]
    for url in (address, *odd, f"{address} {s.wrong_password}", f"nothing:{s.wrong_password}"):
        for words in (("status",), ("migrate", "plan"), ("instance", "list")):
            here.command(*words, DATABASE_URL=url)
    for name, value in (
        ("ROLETA_CREDENTIALS_KEYS", s.ring_key),
        ("ROLETA_CREDENTIALS_KEYS", f"canary:{s.ring_key[:-4]}"),
        ("ROLETA_CREDENTIALS_KEYS", ""),
        ("ZAPI_TOKEN", s.wrong_token),
        ("EVOLUTION_API_URL", s.evolution_key),
        ("ROLETA_AGENT_URL", s.agent_key),
        ("ROLETA_GATEWAY_PORT", s.service_key),
        ("ROLETA_LOG_LEVEL", s.service_key),
    ):
        here.command("instance", "test", "Aura #1", **{name: value})
        here.command("serve", "--port", str(here.base_url.rpartition(":")[2]), **{name: value})
    for lines in (
        f"{s.guessed}\n{s.wrong_token}\n{s.wrong_client_token}\n",
        f"{s.guessed}\n{s.wrong_token}\n",
    ):
        here.command("instance", "add", "Aura #3", stdin=lines)


def unexpected(here: House) -> dict[tuple[str, str], str]:
    """Every hit that the list above does not allow."""
    here.listen_to_the_rest()
    return {
        (where, name): around
        for (where, name), around in here.leaks.found().items()
        if not any(where.startswith(place) and name in names for place, names in ALLOWED.items())
    }


def check(here: House, *happenings: Callable[[House], None]) -> None:
    """All of that happens, and nothing of it is found; the canaries were there to be found."""
    for happening in happenings:
        happening(here)
    leaks = unexpected(here)
    assert leaks == {}, "\n".join(f"{where}: {name}: …{text!r}" for (where, name), text in leaks.items())
    # It would have been seen: what is stored on purpose is found where it belongs.
    found = set(here.leaks.found())
    assert ("column: messaging.outbox.content", "text") in found
    assert ("column: messaging.outbox.phone", "phone") in found
    assert "request.failed" in here.log("gateway")


def test_canaries_stay_in_their_cages(here: House) -> None:
    """Messages, webhooks, wrong callers, a database that refuses rows: no secret, whole phone or text in a
    log, an answer, PostgreSQL's log or a column that is not for it."""
    check(here, sends_well_and_badly, webhooks, callers, broken_tables)


@pytest.mark.slow
@pytest.mark.scoreboard("S11", tier="landing")
def test_canaries_stay_in_their_cages_whatever_happens(here: House) -> None:
    """And with numbers of clients, ad platforms that misbehave, and operators who mistype."""
    check(here, sends_well_and_badly, webhooks, connections, alerts, callers, operators, broken_tables)
