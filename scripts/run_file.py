"""What a running `up` leaves in .roleta/run.json for the commands of other terminals."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.errors import Conflict

FOLDER = ".roleta"


@dataclass(frozen=True)
class Run:
    """One `up`. `database_url` and `credentials_keys` hold secrets; `born` tells its process from a later one
    of the same id."""

    pid: int
    born: str
    database_url: str = field(repr=False)
    gateway: str
    simulator_url: str | None
    evolution_url: str | None
    children: dict[str, int]
    meta_url: str | None = None
    credentials_keys: str | None = field(default=None, repr=False)


def state_folder(home: Path) -> Path:
    """`.roleta` under home, made where missing: others may enter (the database's account), not write."""
    folder = home / FOLDER
    if not folder.is_dir():
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    return folder


def write(home: Path, run: Run) -> None:
    """Replaces run.json at once, readable by its owner alone."""
    target = home / FOLDER / "run.json"
    draft = target.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(run), file)
    draft.replace(target)


def remove(home: Path) -> None:
    """The run is over."""
    (home / FOLDER / "run.json").unlink(missing_ok=True)


def read(home: Path) -> Run | None:
    """The `up` that runs now, or None: a file whose process has ended is as good as none."""
    try:
        run = Run(**json.loads((home / FOLDER / "run.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return run if born(run.pid) == run.born != "" else None


def born(pid: int) -> str:
    """When this process began, in the kernel's ticks since boot; empty where none runs (any more)."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc(5): the name in parentheses may hold blanks; after it the state is the 1st and the birth the 20th.
    fields = about.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Holds the place of the one `up` of this folder. Conflict says where the other one is."""
    with open(os.open(state_folder(home) / "up.lock", os.O_RDONLY | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read(home)
            where = f" (process {other.pid}, {other.gateway})" if other else ""
            raise Conflict(f"another up is already running here{where}: use it, or stop it first") from None
        yield
