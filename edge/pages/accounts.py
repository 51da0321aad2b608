"""/clients/<id>/accounts: a client's ad accounts at Meta, one a line; what alerts are set for."""

import re
from typing import Any

from edge.pages.forms import BadField
from edge.pages.page import Page
from edge.pages.pairing import card_for
from edge.pages.visit import Html, Redirect, Reply, Visit
from shared.db import as_json
from shared.texts_pt import pages as words

META = "meta_ads"
MOST = 200
_LINE = re.compile(r"([A-Za-z0-9_-]{1,64})(?:\s+(\S.{0,198}))?")


class Accounts(Page):
    """GET and POST /clients/<id>/accounts. Accounts at other platforms are kept as they are."""

    def get(self, visit: Visit) -> Reply:
        """The list as text."""
        mine = [account for account in self._stored(visit) if account["provider"] == META]
        lines = [f"{each['ad_account_id']} {each['account_name'] or ''}".strip() for each in mine]
        return self._form(visit, "\n".join(lines))

    def post(self, visit: Visit) -> Reply:
        """These accounts and no others."""
        written = visit.form.as_typed("accounts")
        try:
            accounts = listed(written)
        except BadField as error:
            return self._form(visit, written, str(error), 400)
        others = [account for account in self._stored(visit) if account["provider"] != META]
        visit.db.call(
            "messaging.save_accounts", p_client_id=visit.client_id, p_accounts=as_json(accounts + others)
        )
        return Redirect(f"/clients/{visit.client_id}/alerts?notice=accounts_saved")

    def _stored(self, visit: Visit) -> list[dict[str, Any]]:
        card_for(visit)  # one's own client, or NotFound
        for row in visit.db.call("messaging.list_clients"):
            if row["client_id"] == visit.client_id:
                return list(row["accounts"])
        return []

    def _form(self, visit: Visit, accounts: str, wrong: str = "", http_status: int = 200) -> Reply:
        return Html(
            "accounts.html", {"card": card_for(visit), "accounts": accounts, "wrong": wrong}, http_status
        )


def listed(written: str) -> list[dict[str, Any]]:
    """The accounts that the lines name; BadField with the number of the first line that is wrong."""
    accounts: dict[str, dict[str, Any]] = {}
    for line, text in enumerate(written.splitlines(), 1):
        if not text.strip():
            continue
        found = _LINE.fullmatch(text.strip())
        if found is None:
            raise BadField(words.BAD_ACCOUNT.format(line=line))
        account, name = found.groups()
        if account in accounts:
            raise BadField(words.ACCOUNT_TWICE.format(line=line, account=account))
        accounts[account] = {"ad_account_id": account, "account_name": name, "provider": META}
    if len(accounts) > MOST:
        raise BadField(words.TOO_MANY_ACCOUNTS)
    return list(accounts.values())
