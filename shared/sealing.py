"""Seals what stands in plain text, and seals anew under another key, while workers send: the typed face of
migration 0070.

Each value is exchanged only while it is what it was, so whoever changes one meanwhile wins, and a run that
was stopped is continued by running it again.
"""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from shared.credentials import CredentialsUnusable, KeyRing, Place
from shared.db import Database, Row, as_json
from shared.errors import InvalidInput

Told = Callable[[str], None]
BATCH = 200
PLAIN = ""  # among key ids: no key at all
PASSES = 20


@dataclass(frozen=True)
class Standing:
    """How many credentials stand in one column under one key; `key_id` None: in plain text. `fits`: whether
    the column can hold a sealed one, which is longer."""

    table_name: str
    column_name: str
    key_id: str | None
    fits: bool
    credentials: int


def standing(db: Database) -> list[Standing]:
    """What stands where, under which key. No value."""
    return [Standing(**row) for row in db.call("messaging.credential_counts")]


def plain(db: Database) -> int:
    """How many credentials stand in plain text."""
    return sum(each.credentials for each in standing(db) if each.key_id is None)


def seal_plain(db: Database, ring: KeyRing, *, tables: Collection[str] | None = None, told: Told) -> int:
    """Seals every plain credential (of these tables) with the ring's first key; how many were sealed."""
    return _exchange_all(db, ring, [PLAIN], tables, told)


def seal_anew(db: Database, ring: KeyRing, *, told: Told) -> int:
    """Seals with the ring's first key what stands under its other ones; how many were exchanged. Plain ones
    stay plain, and what no key of the ring opens stays as it is."""
    return _exchange_all(db, ring, list(ring.key_ids[1:]), None, told)


def _exchange_all(
    db: Database, ring: KeyRing, key_ids: list[str], tables: Collection[str] | None, told: Told
) -> int:
    if not ring:
        raise InvalidInput("there is no key to seal with")
    columns = {(each.table_name, each.column_name) for each in standing(db) if each.fits}
    done = 0
    for table, column in sorted(columns):
        if tables is not None and table not in tables:
            continue
        exchange = _Exchange(db, ring, key_ids, table, column)
        # What was written under an old key meanwhile is met by the next pass.
        for _ in range(PASSES):
            exchanged = exchange.one_pass()
            done += exchanged
            if not exchanged:
                break
            told(f"{table}.{column}: {exchanged} sealed")
        for problem in sorted(exchange.unopened):
            told(f"left as it is: {problem}")
    return done


class _Exchange:
    """Of one column, what stands under `key_ids` for what the ring's first key seals."""

    def __init__(self, db: Database, ring: KeyRing, key_ids: list[str], table: str, column: str) -> None:
        self._db, self._ring, self._key_ids = db, ring, key_ids
        self._column = {"p_table": table, "p_column": column}
        self._place = functools.partial(Place, table, column)
        self.unopened: set[str] = set()

    def one_pass(self) -> int:
        """From the first row to the last, a batch a transaction; how many were exchanged."""
        exchanged, after = 0, ""
        while rows := self._db.call(
            "messaging.credentials_under",
            **self._column,
            p_key_ids=self._key_ids,
            p_after=after,
            p_limit=BATCH,
        ):
            changes = [change for change in map(self._change, rows) if change is not None]
            if changes:
                exchanged += self._db.call_one(
                    "messaging.exchange_credentials", **self._column, p_changes=as_json(changes)
                )["exchange_credentials"]
            after = rows[-1]["row_key"]
        return exchanged

    def _change(self, row: Row) -> dict[str, str] | None:
        place = self._place(row["row_key"])
        try:
            sealed = self._ring.seal(self._ring.open(row["stored"], place), place)
        except CredentialsUnusable as problem:
            self.unopened.add(str(problem))
            return None
        return {**row, "sealed": sealed}
