"""Cron expressions of five fields: which slot is the latest, which the next. The library cronsim reads them.

In a time zone whose clock jumps they mean what Debian's cron means by them: a fixed time in a skipped hour
comes right after it, one in a repeated hour comes once.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.errors import InvalidInput

# A slot that is older is not made up for (messaging.take_run); an hour more, since a day may have 25.
_LOOK_BACK = timedelta(hours=25)


class Slots:
    """The slots of one expression in one time zone, as UTC moments. Not for threads."""

    def __init__(self, expression: str, time_zone: str) -> None:
        """InvalidInput where the expression is no cron expression of five fields, or names no moment."""
        self._expression = expression
        self._zone = ZoneInfo(time_zone)
        check(expression)
        self._latest: datetime | None = None
        self._next: datetime | None = None
        self._asked_at: datetime | None = None

    def latest(self, now: datetime) -> datetime | None:
        """The last slot up to `now` (itself included), or None where the last 25 hours have none."""
        self._walk(now)
        if self._latest is None or self._latest <= now - _LOOK_BACK:
            return None
        return self._latest

    def following(self, now: datetime) -> datetime:
        """The first slot after `now`."""
        self._walk(now)
        if self._next is None:
            raise InvalidInput(f"the schedule {self._expression!r} names no moment after {now:%Y-%m-%d}")
        return self._next

    def _walk(self, now: datetime) -> None:
        """Forward only, remembering where it stood: backwards, the library passes over a repeated hour."""
        if self._asked_at is None or not self._asked_at <= now <= self._asked_at + _LOOK_BACK:
            self._latest = None
            self._moments = CronSim(self._expression, (now - _LOOK_BACK).astimezone(self._zone))
            self._next = self._step()
        self._asked_at = now
        while self._next is not None and self._next <= now:
            self._latest = self._next
            self._next = self._step()

    def _step(self) -> datetime | None:
        moment = next(self._moments, None)
        # In UTC: two moments of one zone are compared by their local digits, which a repeated hour has twice.
        return None if moment is None else moment.astimezone(UTC)


def check(expression: str) -> None:
    """InvalidInput unless it is a cron expression of five fields that names some moment."""
    if len(expression.split()) != 5:
        raise InvalidInput("a schedule is a cron expression of five fields, such as 0 19 * * 0")
    try:
        found = next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except (CronSimError, ValueError, AssertionError) as error:
        why = str(error) if isinstance(error, CronSimError) else "a number in it cannot be read"
        raise InvalidInput(f"the schedule {expression!r} is no cron expression: {why}") from None
    if found is None:
        raise InvalidInput(f"the schedule {expression!r} names no moment")
