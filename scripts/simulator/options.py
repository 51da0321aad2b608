"""What of the simulator can be turned: the contract's open questions as named options, faults and
receipts."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

# reliability.md 3: the six kinds of the crash soak.
SIX_FAULTS = (
    "error_before_accept",
    "accept_then_hang",
    "accept_then_close",
    "accept_then_500",
    "hang",
    "close",
)
MORE_FAULTS = ("reset", "accept_then_reset", "truncated", "garbage", "slow", "429", "refused")
FAULT_KINDS = SIX_FAULTS + MORE_FAULTS
ACCEPTING_FAULTS = frozenset(
    {
        "accept_then_hang",
        "accept_then_close",
        "accept_then_500",
        "accept_then_reset",
        "truncated",
        "garbage",
        "slow",
    }
)
# After these the caller still knows: a slow answer is an answer (while slow_s is below the caller's
# patience).
CLEAR_FAULTS = frozenset({"slow", "429", "refused"})
RECEIPT_MODES = ("in_order", "out_of_order", "twice", "never", "before_answer")
RECEIPT_STEPS = ("DELIVERY", "SENT", "RECEIVED", "READ", "PLAYED")


class BadSettingError(ValueError):
    """A control call asked for something that is not there; the text says what is."""


def _choice(*allowed: Any) -> Any:
    return field(default=allowed[0], metadata={"allowed": allowed})


@dataclass
class Options:
    """Zapi contract 8: defaults where reality is unknown, the first choice, and the alternative, the
    second."""

    queue_interval_s: float | None = None  # None = the contract's 1 to 3 s, or delayMessage
    queue_speed: float = 1.0
    webhook_retries: int = 0
    webhook_timeout_s: float = 10.0
    webhook_gzip: bool = False
    webhook_token: str = _choice("right", "omitted", "wrong")
    disconnected_send: str = _choice("400", "value_false")
    over_cap: str = _choice("400", "delivery_error")
    out_of_range_delay: str = _choice("clamp", "400")
    missing_field: str = _choice("400", "delivery_error")
    instance_not_found: int = _choice(404, 400)
    no_client_token: str = _choice("400", "null", "403")
    no_route: int = _choice(404, 200)
    rate_limit_per_minute: int | None = None
    inbound_offline: str = _choice("late", "lost")
    purge: str = _choice("silent", "delivery_error", "refused")
    phone_exists_shape: str = _choice("object", "array")
    phone_code_shape: str = _choice("value", "code")
    allow_http: bool = False


@dataclass
class FaultPlan:
    """Which sends go wrong: all of the instances in `by_instance`; of the others those in `upcoming` first,
    then `rate` of the rest, drawn by `seed` in arrival order."""

    rate: float = 0.0
    seed: int = 0
    kinds: list[str] = field(default_factory=lambda: list(SIX_FAULTS))
    upcoming: list[str] = field(default_factory=list)
    hang_s: float = 30.0
    slow_s: float = 2.0
    by_instance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse unknown kinds and begin the draws anew."""
        for kind in [*self.kinds, *self.upcoming, *self.by_instance.values()]:
            if kind not in FAULT_KINDS:
                raise BadSettingError(f"unknown fault {kind!r}; there are {', '.join(FAULT_KINDS)}")
        if not 0 <= self.rate <= 1:
            raise BadSettingError("rate must be between 0 and 1")
        self._random = random.Random(self.seed)

    def draw(self, instance_id: str | None = None) -> str | None:
        """The next send's fault."""
        if fault := self.by_instance.get(instance_id or ""):
            return fault
        if self.upcoming:
            return self.upcoming.pop(0)
        if self.rate and self.kinds and self._random.random() < self.rate:
            return self._random.choice(self.kinds)
        return None


@dataclass
class ReceiptPlan:
    """What follows an acceptance by webhook, up to the step `until`; `loss_rate` of the events never
    leave. `late_rate` of the messages have theirs `late_s` later; of the sends that were answered well,
    `well_answered_share` are followed by any."""

    mode: str = _choice(*RECEIPT_MODES)
    until: str = field(default="READ", metadata={"allowed": RECEIPT_STEPS})
    delay_s: float = 0.0
    loss_rate: float = 0.0
    late_rate: float = 0.0
    late_s: float = 0.0
    well_answered_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Begin the draws anew."""
        self._random = random.Random(self.seed)

    def follows(self, *, well_answered: bool) -> bool:
        """Whether a message has events at all."""
        if not well_answered or self.well_answered_share >= 1:
            return True
        return self._random.random() < self.well_answered_share

    def lateness_s(self) -> float:
        """How long a message's events wait before the first leaves."""
        return self.late_s if self.late_rate and self._random.random() < self.late_rate else 0.0

    def arrange(self, events: list[Any]) -> list[Any]:
        """The order, number and survival of one message's events."""
        if self.mode == "never":
            return []
        if self.mode == "out_of_order":
            events = events[::-1] if len(events) < 3 else self._random.sample(events, len(events))
        if self.mode == "twice":
            events = [event for event in events for _ in range(2)]
        return [event for event in events if self._random.random() >= self.loss_rate]


def change(target: Any, changes: Mapping[str, Any]) -> None:
    """Set fields of one of the above. BadSettingError for a name, type or value that it does not know; then
    nothing has changed."""
    known = {item.name: item for item in fields(target) if item.init}
    for name, value in changes.items():
        if name not in known:
            raise BadSettingError(f"unknown setting {name!r}; there are {', '.join(known)}")
        allowed = known[name].metadata.get("allowed")
        if allowed and value not in allowed:
            raise BadSettingError(f"{name} must be one of {', '.join(map(str, allowed))}")
        if not allowed and not _fits(known[name].type, value):
            raise BadSettingError(f"{name} must be {known[name].type}")
    before = {name: getattr(target, name) for name in changes}
    for name, value in changes.items():
        setattr(target, name, value)
    if hasattr(target, "check"):
        try:
            target.check()
        except BadSettingError:
            for name, value in before.items():
                setattr(target, name, value)
            raise


def _fits(annotation: Any, value: Any) -> bool:
    if value is None:
        return annotation in {float | None, int | None}
    if annotation in {float, float | None}:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if annotation in {int, int | None}:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if annotation is bool:
        return isinstance(value, bool)
    if annotation == dict[str, str]:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
