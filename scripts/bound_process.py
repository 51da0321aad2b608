"""Starts a program that cannot outlive its parent, as another account where asked.

The module is its own little program: Popen runs it, it prepares itself and becomes the wanted program.
Doing the same in a `preexec_fn` would run Python between fork and exec, which deadlocks beside threads.
Standard library only, for speed: it is run with -I -S.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # prctl(2)


def bound_command(program: Sequence[str], at_death: signal.Signals, account: str | None = None) -> list[str]:
    """The argument list for Popen that runs `program` (an absolute path and its arguments).

    The kernel sends it `at_death` when the thread that called Popen ends, however it ends, so call Popen
    from the main thread. `account` is the name of a system user to become; only root may name one.
    """
    head = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    return [*head, str(os.getpid()), str(int(at_death)), account or "", *program]


def _become(account: str) -> None:
    import pwd  # noqa: PLC0415 - seldom needed, and this program is about starting fast

    entry = pwd.getpwnam(account)
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def bind_to_parent(parent: int, at_death: int) -> None:
    """The kernel sends this process `at_death` when its parent's thread ends; it exits where that is gone."""
    if sys.platform == "linux":
        # After the change of account: the kernel clears the setting whenever credentials change.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, at_death, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the line above could tell the kernel
        sys.exit(f"the parent process {parent} is gone")


def _main(arguments: list[str]) -> None:
    parent, at_death, account, *program = arguments
    if account:
        _become(account)
    bind_to_parent(int(parent), int(at_death))
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted
    except OSError as problem:
        sys.exit(f"cannot run {program[0]}: {problem.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
