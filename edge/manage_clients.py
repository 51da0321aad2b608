"""manage-clients: the agency's page lists, adds, renames and removes clients, and keeps their ad accounts
(functions 4.6)."""

from typing import Any
from uuid import UUID

from edge.functions import Answer, Call
from shared import clients
from shared.db import Calls, Row, as_json
from shared.errors import InvalidInput


def handle(call: Call) -> Answer:
    """{action, ...} -> {success, ...}; Forbidden for who is no manager, InvalidInput "Invalid action"."""
    manager, theirs = call.caller()
    theirs.call("messaging.require_manager")
    match call.body.get("action"):
        case "list":
            return _list(theirs)
        case "create":
            return _create(call, manager.user_id)
        case "update":
            return _update(call, theirs)
        case "delete":
            return _delete(call, theirs)
        case "save_accounts":
            return _save_accounts(call, theirs)
        case _:
            raise InvalidInput("Invalid action")


def _list(theirs: Calls) -> Answer:
    return {"success": True, "clients": [_shown(row) for row in theirs.call("messaging.list_clients")]}


def _create(call: Call, agency_id: UUID) -> Answer:
    email, password, label = (_text(call, name) for name in ("email", "password", "client_label"))
    if not email or not password:
        raise InvalidInput("email and password required")
    if "@" not in email.strip("@") or any(each.isspace() for each in email):
        raise InvalidInput("email: it must be an e-mail address")
    if label is not None and len(label) > clients.LONGEST_LABEL:
        raise InvalidInput(f"client_label: must have at most {clients.LONGEST_LABEL} characters")
    login = clients.add(
        call.db,
        call.settings,
        agency_id,
        email=email,
        password=password,
        client_label=label or email.partition("@")[0][: clients.LONGEST_LABEL],
    )
    made = "created" if login.is_new else "existing"
    return {"success": True, "client_id": str(login.user_id), "login": made}


def _update(call: Call, theirs: Calls) -> Answer:
    theirs.call(
        "messaging.rename_client", p_client_id=_client_id(call), p_client_label=_text(call, "client_label")
    )
    return {"success": True}


def _delete(call: Call, theirs: Calls) -> Answer:
    clients.remove(call.db, call.settings, theirs, _client_id(call))
    return {"success": True}


def _save_accounts(call: Call, theirs: Calls) -> Answer:
    accounts = call.body.get("accounts")
    if not isinstance(accounts, list):
        raise InvalidInput("accounts: must be a list")
    saved = theirs.call_one(
        "messaging.save_accounts", p_client_id=_client_id(call), p_accounts=as_json(accounts)
    )
    return {"success": True, "saved": saved["save_accounts"]}


def _client_id(call: Call) -> UUID:
    try:
        return UUID(_text(call, "client_id") or "")
    except ValueError:
        raise InvalidInput("client_id: it must be a client's id") from None


def _text(call: Call, name: str) -> str | None:
    value = call.body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"{name}: it must be a text")
    return value.strip() if value is not None and name != "password" else value


def _shown(row: Row) -> dict[str, Any]:
    return {
        "client_id": str(row["client_id"]),
        "client_label": row["client_label"],
        "email": row["client_email"],
        "is_demo": row["is_demo"],
        "created_at": row["created_at"].isoformat(),
        "accounts": row["accounts"],
    }
