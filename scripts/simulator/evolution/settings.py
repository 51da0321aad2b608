"""What of the simulator can be turned, and what the profiles (versions) do differently (contract 8.1)."""

from dataclasses import dataclass, field
from typing import Any

from scripts.simulator.options import RECEIPT_MODES, BadSettingError, ReceiptPlan

RECEIPT_STEPS = ("SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")
WEBHOOK_MODES = ("normal", "lost", "doubled", "late")


@dataclass(frozen=True)
class Profile:
    """One version of the server."""

    version: str
    reports_closed_logout: bool = True  # logout when closed: 400; 2.4: 200
    waits_for_logout: bool = True
    drops_repeated_ids: bool = False
    unknown_receipt: str = "SERVER_ACK"
    boots_closed: bool = False
    reconnect_pause_s: float = 0.0
    set_end_is_final: bool = False  # a 408, when a set of QR codes ends
    takes_message_id: bool = False
    trims_names: bool = False
    describing_headers: bool = False
    query_overrides_path: bool = True
    has_health: bool = False


PROFILES = {
    "2.3.6": Profile(
        "2.3.6", waits_for_logout=False, drops_repeated_ids=True, unknown_receipt="DELETED", boots_closed=True
    ),
    "2.3.7": Profile("2.3.7"),
    "2.4.0": Profile(
        "2.4.0",
        reports_closed_logout=False,
        reconnect_pause_s=3.0,
        set_end_is_final=True,
        takes_message_id=True,
        trims_names=True,
        describing_headers=True,
        query_overrides_path=False,
        has_health=True,
    ),
}


def _choice(*allowed: Any) -> Any:
    return field(default=allowed[0], metadata={"allowed": allowed})


@dataclass
class Options:
    """`*_s` are the simulated world's seconds (divided by --speed), except those marked real."""

    create_wait_s: float = 5.0
    connect_wait_s: float = 2.0
    qr_delay_s: float = 0.7  # socket to first QR, as seen
    qr_life_s: float = 45.0
    qr_set: int = 6
    qr_limit: int = 30
    scan_s: float = 1.0
    reconnect_s: float = 1.0
    logout_s: float = 0.3
    hang_s: float = 60.0
    silence_noticed_s: float = 35.0
    number_cache_s: float = 7 * 86400.0
    repeated_id_s: float = 300.0
    retry_first_s: float = 5.0
    retry_most_s: float = 300.0
    retry_attempts: int = 10
    webhook_timeout_s: float = 30.0  # real
    webhook_mode: str = _choice(*WEBHOOK_MODES)
    webhook_late_s: float = 5.0
    database_s: float = 0.01  # real: between the look at a name and its row
    delete_lag_s: float = 0.02  # real: between the answer and the end of the rows
    expose_apikey: bool = True
    logout_answers_500: bool = False  # although it takes place (I#2567)


@dataclass
class Receipts(ReceiptPlan):
    """The first step that comes is DELIVERY_ACK, as seen; `backwards` ends with the lesser one."""

    mode: str = field(default="in_order", metadata={"allowed": (*RECEIPT_MODES, "backwards")})
    since: str = field(default="DELIVERY_ACK", metadata={"allowed": RECEIPT_STEPS})
    until: str = field(default="READ", metadata={"allowed": RECEIPT_STEPS})

    def check(self) -> None:
        """Also that the steps do not cross."""
        super().check()
        if RECEIPT_STEPS.index(self.since) > RECEIPT_STEPS.index(self.until):
            raise BadSettingError("since must not come after until")

    def statuses(self) -> list[str]:
        """The statuses of one message, as they will arrive."""
        first, last = RECEIPT_STEPS.index(self.since), RECEIPT_STEPS.index(self.until)
        steps = list(RECEIPT_STEPS[first : last + 1])
        return self.arrange(steps[::-1] if self.mode == "backwards" else steps)
