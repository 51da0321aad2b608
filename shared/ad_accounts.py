"""What an ad platform says of an account's balance: one small protocol, and Meta's Graph API behind it.

Which accounts are asked about, and what follows from an answer, is in migration 0059 and
edge/check_balance_alerts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import httpx

from shared import clock
from shared.exchanges import Exchanges, FailedExchange

TIMEOUT_S = 10.0
# After so many questions in a row without an answer the rest is not asked: whoever waits has more to do.
GIVEN_UP_AFTER = 16
# A path of ours is made of it, so nothing else may stand in it; Meta's have "act_" in front.
_ACCOUNT = re.compile(r"(?:act_)?([0-9]{1,30})")
# Meta's error reference (developers.facebook.com, Marketing API, "Error codes"): 190 is a token that is not
# valid (102: its session); 4, 17, 32, 613 and the 80000s are limits on calls; 10, 200-299 are missing rights.
_TOKEN_CODES = frozenset({102, 190})
_LIMIT_CODES = frozenset({4, 17, 32, 613, *range(80000, 80015)})
_RIGHTS_CODES = frozenset({3, 10, *range(200, 300)})


@dataclass(frozen=True)
class Balance:
    """What an account has left, in its currency's whole units (reais), exact."""

    amount: Decimal


@dataclass(frozen=True)
class BalanceFailure:
    """Why there is no balance: "token_refused", "no_access", "limited", "unavailable" or "unexpected", and a
    sentence of our own. What the platform wrote is kept nowhere: it may repeat the token."""

    kind: str
    detail: str


class AdPlatform(Protocol):
    """Who knows balances. Raises nothing; threads may share it."""

    def balance(self, ad_account_id: str, token: str) -> Balance | BalanceFailure: ...


class MetaAds:
    """Meta's Graph API at `base_url`, version included; for one run. Each question has ten seconds, all in
    all; a platform that is silent to GIVEN_UP_AFTER of them in a row is asked no more."""

    def __init__(self, base_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._silent_in_a_row = 0
        self._exchanges = Exchanges()

    def balance(self, ad_account_id: str, token: str) -> Balance | BalanceFailure:
        """GET /act_<id>?fields=balance; the answer is in cents (functions 4.4). The token goes in a header:
        an address stands in logs."""
        account = _ACCOUNT.fullmatch(ad_account_id.strip())
        if account is None:
            return BalanceFailure("unexpected", "the account's id is none of Meta's")
        if self._silent_in_a_row >= GIVEN_UP_AFTER:
            return BalanceFailure("unavailable", "the ad platform does not answer: the next run asks again")
        try:
            request = self._exchanges.request(
                "GET",
                f"{self._base_url}/act_{account[1]}",
                params={"fields": "balance"},
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            )
            http_status, body = self._exchanges.answer_of(
                request, ends_at=clock.monotonic() + self._timeout_s
            )
        except FailedExchange as error:
            self._silent_in_a_row += 1
            return BalanceFailure("unavailable", f"the ad platform did not answer: {error}")
        except httpx.InvalidURL:
            return BalanceFailure("unexpected", "META_GRAPH_URL is no address")
        except ValueError:
            return BalanceFailure(
                "token_refused", "the stored token cannot be sent: connect the account again"
            )
        self._silent_in_a_row = 0
        return _read(http_status, body)

    def close(self) -> None:
        """Closes the connections."""
        self._exchanges.close()


def _read(http_status: int, body: bytes) -> Balance | BalanceFailure:
    answer = _object(body)
    if "error" in answer:
        return _failure(http_status, answer["error"])
    if http_status >= 500:
        return BalanceFailure("unavailable", f"the ad platform fails: HTTP {http_status}")
    # A text of digits as documented; a number is read too. Not a fraction, not true.
    found = re.fullmatch(r"-?[0-9]{1,18}", str(answer.get("balance", "")))
    if http_status != 200 or found is None:
        return BalanceFailure("unexpected", f"the ad platform's answer holds no balance: HTTP {http_status}")
    return Balance(Decimal(found[0]) / 100)


def _failure(http_status: int, error: object) -> BalanceFailure:
    code = error.get("code") if isinstance(error, Mapping) else None
    # isinstance: True would be 1.
    known = code if isinstance(code, int) and not isinstance(code, bool) else None
    named = f"code {known}" if known is not None else f"HTTP {http_status}"
    if known in _TOKEN_CODES:
        return BalanceFailure(
            "token_refused", f"the ad platform refuses the token ({named}): connect it again"
        )
    if known in _LIMIT_CODES:
        return BalanceFailure("limited", f"the ad platform takes no more questions now ({named})")
    if known in _RIGHTS_CODES:
        return BalanceFailure("no_access", f"the token has no right to this account ({named})")
    if http_status >= 500 or known in (1, 2):
        return BalanceFailure("unavailable", f"the ad platform fails ({named})")
    return BalanceFailure("unexpected", f"the ad platform refuses the question ({named})")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
