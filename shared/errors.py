"""The errors a caller may meet, and which SQLSTATE is which. Provider failures are outcomes, not errors."""

import traceback
from typing import ClassVar


class RoletaError(Exception):
    """Something failed that no more exact error describes."""

    sqlstate: ClassVar[str | None] = None

    def __init__(
        self, message: str | None = None, *, sqlstate: str | None = None, constraint: str | None = None
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.code = sqlstate or self.sqlstate
        self.constraint = constraint


class IllegalMove(RoletaError):
    """This change of state is not allowed from where it stands."""

    sqlstate = "WP001"


class NotFound(RoletaError):
    """There is no such thing."""

    sqlstate = "WP002"


class InvalidInput(RoletaError):
    """A value has the wrong form."""

    sqlstate = "WP003"


class Conflict(RoletaError):
    """This contradicts what is already there."""

    sqlstate = "WP004"


class WouldDiscardData(RoletaError):
    """This would discard data."""

    sqlstate = "WP005"


class SetupMissing(RoletaError):
    """Something that must be set up first is missing."""

    sqlstate = "WP006"


class Forbidden(RoletaError):
    """Whoever asks may not do this."""

    sqlstate = "WP007"


class TooMany(RoletaError):
    """This was asked too often."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DatabaseUnavailable(RoletaError):
    """The database cannot do this now; what was being asked may or may not have happened."""


class SettingsError(RoletaError):
    """A setting is missing or wrong."""


class MigrationRefused(RoletaError):
    """The migrations cannot be run as things stand."""


BY_SQLSTATE: dict[str, type[RoletaError]] = {
    kind.sqlstate: kind
    for kind in (IllegalMove, NotFound, InvalidInput, Conflict, WouldDiscardData, SetupMissing, Forbidden)
    if kind.sqlstate is not None
}


def place_of(error: Exception) -> str:
    """An error's kind and where it arose, for a log: its text may hold what a person wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
