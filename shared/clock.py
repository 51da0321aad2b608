"""The only place in shared/ and edge/ that reads the time, so that a test has one thing to look at."""

import datetime
import time


def now() -> datetime.datetime:
    """The wall clock, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def monotonic() -> float:
    """Seconds from an arbitrary start that never go back; for deadlines and durations."""
    return time.monotonic()
