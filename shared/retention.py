"""The Python face of what is kept no longer: texts and raw events after their days, a person on request.

What is removed and what stays is SQL's (migrations 0071 to 0073, 0080, 0081). Runs daily as a slot of the
scheduler, by one worker (edge/runs), and as `roleta retain`.
"""

from dataclasses import dataclass

from shared import clock
from shared.db import Calls
from shared.settings import Settings

NAME = "retention"
SCHEDULE = "20 3 * * *"
BATCH = 500
# A slot is leased for ten minutes; what is left then is for the next day, or for `roleta retain`.
LONGEST_S = 240.0
# For what came while it was erased. A message that is being sent ends within its lease (75 s and more at
# Evolution): that is for the caller to wait for.
_ROUNDS = 3


def _days(settings: Settings) -> dict[str, int]:
    """What is removed, and after how many days; 0: never."""
    return {
        "texts": settings.keep_texts_days,
        "event_texts": settings.keep_texts_days,
        "raw_events": settings.keep_events_days,
    }


def forgettable(db: Calls, settings: Settings) -> dict[str, int]:
    """How many rows of each kind have something that is older than its days."""
    return {
        what: db.call_one("messaging.forgettable", p_what=what, p_keep_days=days)["forgettable"]
        for what, days in _days(settings).items()
        if days > 0
    }


def retain(db: Calls, settings: Settings, *, longest_s: float = LONGEST_S) -> dict[str, object]:
    """Removes what is older than its days, batch by batch; how many rows of each kind.

    "more": time was up before all was done. A second one beside it finds nothing locked and does its share.
    """
    until = clock.monotonic() + longest_s
    done: dict[str, object] = {}
    more = False
    for what, days in _days(settings).items():
        count = 0
        while days > 0:
            if clock.monotonic() > until:
                more = True
                break
            batch: int = db.call_one(
                "messaging.forget", p_what=what, p_keep_days=days, p_limit=BATCH
            )["forget"]  # fmt: skip
            count += batch
            if batch == 0:
                break
        done[what] = count
    buckets = 0
    while batch := db.call_one("messaging.forget_buckets", p_limit=BATCH)["forget_buckets"]:
        buckets += batch
    return done | {"buckets": buckets, "more": more}


@dataclass(frozen=True)
class Erased:
    """How many rows of each kind were erased; `in_flight` are being sent this moment, and are still there."""

    erasures: tuple[int, ...]
    rows: dict[str, int]
    in_flight: int


def erase_preview(db: Calls, phone: str) -> dict[str, int]:
    """What there is of a phone in any of its forms."""
    return {row["what"]: row["found"] for row in db.call("messaging.erase_preview", p_phone=phone)}


def erase(db: Calls, phone: str, *, by: str, why: str | None = None) -> Erased:
    """Erases a person: both halves, until nothing is found that did not come meanwhile. Safe to repeat.

    Where something is in flight it must be repeated: what the app is told of that message is still to come,
    and the erasure stays open for the next call to find all of it, also after a crash between the halves.
    """
    rows: dict[str, int] = {}
    erasures: list[int] = []
    in_flight = 0
    for _ in range(_ROUNDS):
        first = db.call_one("messaging.erase_messages", p_phone=phone, p_by=by, p_why=why)
        in_flight = first["in_flight"]
        if first["erasure_id"] is None:
            break
        erasures.append(first["erasure_id"])
        second = db.call_one(
            "messaging.erase_profile", p_phone=phone, p_erasure_id=first["erasure_id"]
        )["erase_profile"]  # fmt: skip
        for what, count in {**first["erased"], **second}.items():
            rows[what] = rows.get(what, 0) + count
        if in_flight:
            break
    return Erased(tuple(erasures), rows, in_flight)
