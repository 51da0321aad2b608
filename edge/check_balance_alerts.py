"""check-balance-alerts (cron, hourly): tells an agency's client when the balance of an ad account runs
low."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from edge.due import is_dry_run
from edge.functions import Answer, Call
from shared import outbox
from shared.ad_accounts import AdPlatform, Balance, BalanceFailure, MetaAds
from shared.agency_messages import enqueue_each, phone_of
from shared.credentials import CredentialsUnusable, KeyRing, of_oauth
from shared.errors import InvalidInput, place_of
from shared.redaction import phone_tail
from shared.texts_pt import agency

PURPOSE = "balance_alert"
# Each question has ten seconds; of many that hang, so many hang at once.
_AT_ONCE = 8
Facts = Mapping[str, Any]


@dataclass
class _Alert:
    """One active alert (messaging.due_balance_alerts) and what became of it, as its result tells."""

    facts: Facts = field(repr=False)
    told: dict[str, object]
    message: outbox.NewMessage | None = field(default=None, repr=False)


def handle(call: Call) -> Answer:
    """{dry_run?} -> {"message": "No active alerts"} or {"processed", "results": [{alertId, clientId,
    adAccountId, status, ...}]}, and the run.

    status: no_meta_token, cooldown (told within 24 hours, or its message still waits), error (with why), ok
    and the balance, no_evolution_instance, no_recipient_phone, or triggered: handed to the outbox. An alert
    rests only after one was accepted. The original never found a token (functions 4.4, bug 29).
    """
    if call.body.get("profile_id") is not None or call.body.get("target_user_id") is not None:
        raise InvalidInput("profile_id and target_user_id name people of the house: alerts go to clients")
    dry_run = is_dry_run(call)
    found = call.db.call_one("messaging.due_balance_alerts")["due_balance_alerts"]["alerts"]
    if not found:
        return {"message": "No active alerts"} | ({"dryRun": True, "people": []} if dry_run else {})
    run_id = call.run_id or f"{call.function}:{uuid.uuid4()}"
    tokens = _tokens(call)
    # No connection of ours waits for the platform: nothing is held open between these calls.
    with closing(MetaAds(call.settings.meta_url)) as platform:
        alerts = _judge(call.log, platform, found, tokens)
    for alert in alerts:
        try:
            _write(call, run_id, alert)
        except Exception as error:
            _fail(call.log, alert, error)
    due = [alert for alert in alerts if alert.message is not None]
    results = [alert.told for alert in alerts]
    if dry_run:
        return {
            "processed": len(alerts),
            "results": results,
            "dryRun": True,
            "people": [_shown(a) for a in due],
        }
    enqueued = _enqueue(call, due)
    call.log.info("run.enqueued", run_id=run_id, people=len(alerts), enqueued=enqueued)
    return {"processed": len(alerts), "results": results, "runId": run_id}


def _tokens(call: Call) -> dict[str, str]:
    """Each agency's token of the ad platform, opened; one that cannot be is logged and as good as none."""
    ring, tokens = KeyRing.from_settings(call.settings), dict[str, str]()
    for row in call.db.call("messaging.meta_tokens"):
        agency_id = str(row["agency_id"])
        try:
            tokens[agency_id] = ring.open(str(row["access_token"]), of_oauth(agency_id, "meta_ads"))
        except CredentialsUnusable as problem:
            call.log.error("balance.credentials_unusable", agency_id=agency_id, why=str(problem))
    return tokens


def _judge(
    log: FilteringBoundLogger, platform: AdPlatform, found: list[Facts], tokens: Mapping[str, str]
) -> list[_Alert]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ad platform") as pool:
        return list(pool.map(lambda facts: _looked_at(log, platform, facts, tokens), found))


def _looked_at(
    log: FilteringBoundLogger, platform: AdPlatform, facts: Facts, tokens: Mapping[str, str]
) -> _Alert:
    alert = _Alert(
        facts,
        {
            "alertId": facts["alert_id"],
            "clientId": facts["client_id"],
            "adAccountId": facts["ad_account_id"],
        },
    )
    try:
        alert.told |= _status(platform, facts, tokens.get(str(facts["agency_id"])))
    except Exception as error:
        _fail(log, alert, error)
    return alert


def _fail(log: FilteringBoundLogger, alert: _Alert, error: Exception) -> None:
    """Whatever it is: the other alerts are looked at (functions 4.4)."""
    log.error("alert.failed", alert_id=alert.facts["alert_id"], place=place_of(error))
    alert.told |= {"status": "error", "error": "this alert could not be checked"}


def _status(platform: AdPlatform, facts: Facts, token: str | None) -> dict[str, object]:
    """What the first rule that speaks against telling says; "triggered" where none does."""
    if token is None:
        return {"status": "no_meta_token"}
    if facts["rests"] is not None:
        return {"status": "cooldown", "reason": facts["rests"]}
    balance = platform.balance(facts["ad_account_id"], token)
    if isinstance(balance, BalanceFailure):
        return {"status": "error", "kind": balance.kind, "error": balance.detail}
    told: dict[str, object] = {"status": _verdict(facts, balance), "balance": float(balance.amount)}
    if told["status"] == "no_recipient_phone" and facts["opted_out"]:
        told["reason"] = "opted_out"
    return told


def _verdict(facts: Facts, balance: Balance) -> str:
    if balance.amount > Decimal(str(facts["threshold"])):
        return "ok"
    if facts["instance_id"] is None:
        return "no_evolution_instance"
    if facts["opted_out"] or phone_of(facts["phone"]) is None:
        return "no_recipient_phone"
    return "triggered"


def _write(call: Call, run_id: str, alert: _Alert) -> None:
    if alert.told["status"] != "triggered":
        return
    facts, balance = alert.facts, Decimal(str(alert.told["balance"]))
    told = {
        name: facts[name] for name in ("client_id", "spoken_by", "sent_from", "ad_account_id", "threshold")
    }
    alert.message = outbox.NewMessage(
        purpose=PURPOSE,
        phone=phone_of(facts["phone"]) or "",
        dedupe_key=facts["dedupe_key"],
        enqueued_by=call.function,
        text=agency.balance_alert(facts, balance),
        instance_id=UUID(str(facts["instance_id"])),
        subject_id=str(facts["alert_id"]),
        run_id=run_id,
        facts=told | {"balance": str(balance)},
    )


def _enqueue(call: Call, due: list[_Alert]) -> int:
    messages = [alert.message for alert in due if alert.message is not None]
    for alert, each in zip(due, enqueue_each(call.db, messages), strict=True):
        if each.refusal is not None:
            alert.told |= {"status": "error", "error": each.refusal}
        elif not each.created:
            # Another run was quicker.
            alert.told |= {"status": "cooldown", "reason": "waiting"}
        else:
            alert.told["messageId"] = each.message_id
    return sum("messageId" in alert.told for alert in due)


def _shown(alert: _Alert) -> dict[str, object]:
    message = alert.message
    return {
        "profileId": None,
        "clientId": alert.facts["client_id"],
        "instanceId": alert.facts["instance_id"],
        "phone": phone_tail(message.phone) if message else None,
        "purpose": PURPOSE,
        "text": message.text if message else None,
    }
