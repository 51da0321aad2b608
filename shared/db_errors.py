"""Driver errors become ours: which SQLSTATE is which, and never a value of a row in a message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from shared.errors import BY_SQLSTATE, DatabaseUnavailable, InvalidInput, RoletaError, SetupMissing

# Connection lost; resources gone (connections, disk, memory); server stopping or starting; and where the same
# call may well succeed a moment later: cut off by a timeout or a lock, lost in a deadlock, met a standby.
UNAVAILABLE = ("08", "53", "57P", "57014", "40", "55P03", "25006")
# Insufficient privilege: no grant, or no right to a role.
FORBIDDEN = "42501"
# Undefined function, table, schema: what `roleta migrate` makes.
_NOT_MIGRATED = ("42883", "42P01", "3F000")


@contextmanager
def translated(what: str, refusal: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Turns driver errors of the block into ours; `what` names what was being done."""
    try:
        yield
    except psycopg.Error as error:
        # Never the driver's own text or cause: its DETAIL holds values of rows.
        raise _translate(error, what, refusal) from None


def _translate(error: psycopg.Error, what: str, refusal: Callable[[], str | None]) -> RoletaError:
    state = error.sqlstate
    if state is None:
        return _translate_client_side(error, what, refusal)
    if state in BY_SQLSTATE:
        return BY_SQLSTATE[state](error.diag.message_primary)
    if state.startswith(UNAVAILABLE):
        return DatabaseUnavailable(f"the database went away: {type(error).__name__}", sqlstate=state)
    if state.startswith("22"):
        return InvalidInput(
            f"a value given to {what} has the wrong form: {type(error).__name__}", sqlstate=state
        )
    constraint = error.diag.constraint_name
    message = f"{what} failed in the database: {type(error).__name__} ({state})"
    if constraint:
        message += f", constraint {constraint}"
    if state in _NOT_MIGRATED:
        return SetupMissing(f"{message}; is the database migrated (roleta migrate)?", sqlstate=state)
    return RoletaError(message, sqlstate=state, constraint=constraint)


def _translate_client_side(error: psycopg.Error, what: str, refusal: Callable[[], str | None]) -> RoletaError:
    if isinstance(error, psycopg.DataError):
        return InvalidInput(f"a value given to {what} cannot be stored, such as a text with a NUL byte")
    if isinstance(error, PoolTimeout):
        reason = refusal()
        return DatabaseUnavailable(
            f"the database cannot be reached: {reason}" if reason else "every database connection is busy"
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return DatabaseUnavailable(f"the connection to the database was lost during {what}")
    return RoletaError(f"{what} was not asked rightly: {type(error).__name__}")
