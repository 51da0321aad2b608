"""What a person sees of a pairing and of a connection's state: values only. shared/connections makes them."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from shared import qr
from shared.db import Row

PairingState = Literal[
    "connecting", "waiting_for_scan", "connected", "expired", "refused", "passkey_needed", "ended"
]
UNDER_WAY = ("connecting", "waiting_for_scan")
# A code lives 45 s (evolution contract 4): the next one is fetched while this one still works.
RENEWED_BEFORE_S = 5.0
# How long a pairing lasts (messaging.begin_connection), and how long a first code may take (contract 9).
PAIRING_S = 300.0
CODE_WITHIN_S = 60.0


@dataclass(frozen=True)
class Pairing:
    """One connection's pairing, as the dialog shows it. Codes are credentials: they are in no repr.

    `code` and `pairing_code` (8 characters to type instead of scanning) are None unless they still work, for
    `expires_in_s` more seconds; `limit_in_s` is what is left of the whole pairing. `detail` says why it was
    refused. `trouble`: why the provider could not be asked just now ("unreachable", "account_refused",
    "unexpected"), or that it gives no code ("no_code": its network or its version); the pairing goes on.
    """

    instance_name: str
    pairing_state: PairingState
    already_connected: bool = False
    code: str | None = field(default=None, repr=False)
    pairing_code: str | None = field(default=None, repr=False)
    expires_in_s: float | None = None
    limit_in_s: float | None = None
    detail: str | None = None
    trouble: str | None = None

    @classmethod
    def from_row(cls, instance_name: str, row: Row, **more: Any) -> Self:
        """A row of messaging.pairing_view."""
        seen = cls(
            instance_name=instance_name,
            pairing_state=row["pairing_state"],
            code=row["qr_code"],
            pairing_code=row["pairing_code"],
            expires_in_s=row["expires_in_s"],
            limit_in_s=row["limit_in_s"],
            detail=row["detail"],
            **more,
        )
        return replace(seen, trouble=seen.trouble or "no_code") if seen.is_overdue else seen

    @property
    def is_under_way(self) -> bool:
        """Whether a scan may still be waited for."""
        return self.pairing_state in UNDER_WAY

    @property
    def has_code(self) -> bool:
        """Whether there is a code that somebody can still scan, or type, at ease."""
        there = self.code or self.pairing_code
        return self.is_under_way and there is not None and (self.expires_in_s or 0) > RENEWED_BEFORE_S

    @property
    def is_overdue(self) -> bool:
        """Whether the provider should have given a first code long ago. It is not asked to connect again:
        each time may open one more socket there. A code may still come by its event."""
        return self.pairing_state == "connecting" and (self.limit_in_s or 0) < PAIRING_S - CODE_WITHIN_S

    @property
    def picture(self) -> str | None:
        """The code to scan as a data URI, drawn by us; None where there is none."""
        return qr.picture(self.code) if self.code else None


@dataclass(frozen=True)
class ConnectionState:
    """Whether a connection is open now: `state` is the provider's word (open, connecting, close), or
    "no_instance" where nothing was ever connected, or "error" where the provider cannot tell."""

    connected: bool
    state: str
