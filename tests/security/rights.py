"""The expected rights (rights.txt), read; `.venv/bin/python -m tests.security.rights` prints missing rows.

A new object gets its row so: run the command, read what it prints with the reviewer's eye (it shows what the
migration grants, not what it should), paste the line below the heading of its migration.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from scripts.embedded import bootstrap_supabase
from scripts.migrate import MIGRATIONS, apply_all
from tests.security.catalog import Connection, Item, granted, has_row_security, items
from tests.servers import database_server, fresh_database

FILE = Path(__file__).with_name("rights.txt")
# The columns of the file. A stranger, a client and a manager are the same database role, `authenticated`.
WHO = ("anon", "stranger", "client", "manager", "service_role")
ROLE_OF = {"anon": "anon", "service_role": "service_role"}
KINDS = ("schema", "table", "view", "column", "sequence", "function", "reader", "type")
CELL = re.compile(r"-|execute|refused|usage|(?=[crud])c?r?u?d?:(none|own|all)")


@dataclass(frozen=True)
class Expected:
    """One line of the file: an object, and what each of WHO may do to it."""

    kind: str
    name: str
    cells: dict[str, str]

    @property
    def catalog_kind(self) -> str:
        """A reader is a function that locks nothing and changes nothing."""
        return "function" if self.kind == "reader" else self.kind

    def right(self, who: str) -> str:
        """The cell as the catalog knows it: without whose rows, and a refusal is an execution."""
        cell = self.cells[who].partition(":")[0]
        return "execute" if cell == "refused" else cell


def read(text: str) -> list[Expected]:
    """Every line; ValueError names the one that cannot be read."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words or words[0].startswith("["):
            continue
        kind, name, *cells = words
        well = kind in KINDS and len(cells) == len(WHO) and all(CELL.fullmatch(cell) for cell in cells)
        if not well:
            raise ValueError(f"{FILE.name} line {number} cannot be read: {line.strip()}")
        found.append(Expected(kind, name, dict(zip(WHO, cells, strict=True))))
    return found


def expected() -> list[Expected]:
    """What rights.txt says."""
    return read(FILE.read_text(encoding="utf-8"))


def as_it_is(connection: Connection, item: Item) -> str:
    """The line that describes the present state."""
    cells = []
    for who in WHO:
        cell = granted(connection, item, ROLE_OF.get(who, "authenticated"))
        if item.kind in ("table", "view", "column") and cell != "-":
            sees = {"service_role": "all", "stranger": "none"}.get(who, "own")
            cell += ":" + (sees if has_row_security(connection, item) else "all")
        cells.append(cell)
    kind = "reader" if item.kind == "function" and _only_reads(connection, item) else item.kind
    return f"{kind:8} {item.name:51} " + " ".join(f"{cell:9}" for cell in cells).rstrip()


def _only_reads(connection: Connection, item: Item) -> bool:
    row = connection.execute("select provolatile <> 'v' from pg_proc where oid = %s", [item.oid]).fetchone()
    return row == (True,)


def missing(connection: Connection) -> Iterator[tuple[str, str]]:
    """Migration and line of every object that the file does not know."""
    known = {(each.catalog_kind, each.name) for each in expected()}
    for item in items(connection):
        if (item.kind, item.name) not in known:
            yield _migration_of(item), as_it_is(connection, item)


def _migration_of(item: Item) -> str:
    """The first file that names it: where it is made, most likely."""
    name = item.name.removesuffix("_id_seq").rpartition(".")[2]
    pattern = re.compile(rf"create\s+(or replace\s+)?\w+\s+[\w.]*\b{name}\b|'[\w.]*\b{name}'")
    for file in sorted(MIGRATIONS.glob("*.sql")):
        if ".rollback" not in file.name and pattern.search(file.read_text(encoding="utf-8")):
            return file.name.removesuffix(".sql")
    return "elsewhere"


def main() -> int:
    """Print the missing lines by migration; exit code 1 where there are any."""
    with database_server() as server, fresh_database(server.url) as url:
        bootstrap_supabase(url, "permissive")
        apply_all(url, say=lambda _: None)
        with psycopg.connect(url) as connection:
            found = sorted(missing(connection))
    headings: set[str] = set()
    for migration, line in found:
        if migration not in headings:
            print(f"\n[{migration}]")
            headings.add(migration)
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
