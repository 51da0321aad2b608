"""The embedded server's data folder and password: made once, checked at every start. Starts no server."""

import contextlib
import errno
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scripts.bound_process import bound_command
from scripts.server_home import ServerProblem

OWNER = "postgres"
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # English messages: reason_in() reads them


@dataclass(frozen=True)
class ServerData:
    """`<home>/postgres`, as made by the server in `programs` and owned by `account` (None is ourselves)."""

    home: Path
    programs: Path
    account: pwd.struct_passwd | None

    @property
    def folder(self) -> Path:
        """PGDATA."""
        return self.home / "postgres"

    def password(self) -> str:
        """The superuser's password, from a file that only we may read; made before the data is."""
        file = self.home / "postgres.password"
        with contextlib.suppress(FileNotFoundError):
            return file.read_text().strip()
        if self.folder.exists():
            raise ServerProblem(f"{file} is missing, and with it the way into {self.folder}: put it back")
        draft = file.with_suffix(".draft")
        write_private(draft, secrets.token_urlsafe(24))
        draft.replace(file)
        return file.read_text()

    def prepare(self, server_lock: IO[bytes]) -> None:
        """Make the folder where there is none; see that it fits the server. Call it with both locks held."""
        if not self.folder.exists():
            self._make(server_lock)
        made_by, ours = (self.folder / "PG_VERSION").read_text().strip(), self._major()
        if made_by != str(ours):
            raise ServerProblem(
                f"{self.folder} was made by PostgreSQL {made_by} and this is {ours}: move it away"
            )
        if self.folder.stat().st_uid != (self.account.pw_uid if self.account else os.geteuid()):
            raise ServerProblem(
                f"{self.folder} belongs to another account: run this as you did when it was made"
            )
        # No process holds the server lock, so a pid file is a dead server's, whoever has that number by now.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _make(self, server_lock: IO[bytes]) -> None:
        # Under another name and then renamed: a start that is killed half-way leaves nothing to trip over.
        draft = self.home / "postgres.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password_file = self.home / "postgres.password.initdb"
        try:
            write_private(password_file, self.password())
            if self.account:
                for path in (draft, password_file):
                    os.chown(path, self.account.pw_uid, self.account.pw_gid)
            self._initdb(draft, password_file, server_lock)
        finally:
            password_file.unlink(missing_ok=True)
        draft.rename(self.folder)

    def _initdb(self, folder: Path, password_file: Path, server_lock: IO[bytes]) -> None:
        arguments = ["-D", str(folder), f"--username={OWNER}", f"--pwfile={password_file}"]
        arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self._major() >= 17:
            arguments.append("--locale-provider=builtin")  # needs no locale of the system
        program = [str(self.programs / "initdb"), *arguments]
        done = subprocess.run(
            bound_command(program, signal.SIGTERM, self.account.pw_name if self.account else None),
            cwd="/",
            env=PLAIN_ENVIRONMENT,
            pass_fds=(server_lock.fileno(),),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")
            raise ServerProblem("the database could not be made: " + reason_in(said, self.home))

    def _major(self) -> int:
        program = self.programs / "postgres"
        said = subprocess.run([program, "--version"], capture_output=True, check=False).stdout.decode()
        # "postgres (PostgreSQL) 15.18 (Debian ...)", "postgres (PostgreSQL) 18.6", "... 19beta1"
        number = said.rpartition("(PostgreSQL) ")[2]
        digits = number[: len(number) - len(number.lstrip("0123456789"))]
        if not digits:
            raise ServerProblem(f"{program} does not run on this machine")
        return int(digits)


def reason_in(said: str, home: Path) -> str:
    """The line of PostgreSQL's output that tells why it gave up."""
    lines = [line for line in said.splitlines() if line.strip()]
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        return f"no space left in {home}: free some and run this again"
    telling = [
        line for line in lines if any(word in line for word in ("PANIC:", "FATAL:", "error:"))
    ] or lines
    return telling[-1].strip() if telling else f"it said nothing; see {home / 'postgres.log'}"


def write_private(file: Path, text: str) -> None:
    """A file that only we may read; one that is there is replaced."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
