"""A process that has imported the product once, and forks a worker of it for each who connects and asks.

A worker's own imports cost a second on a busy machine, and the crash tests end hundreds of workers. What is
forked here has the environment, the session and the log of its own that `roleta work` would have, and then
runs just that. One connection is one life: {"words", "environment", "folder", "log"} as a line of JSON, then
the pid comes back, and when it has ended its code as subprocess has it.
"""

import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from edge import runs
from scripts import cli
from scripts.bound_process import bind_to_parent
from scripts.commands import surroundings, work
from shared import log, worker

# Whatever `roleta work` imports as late as it runs; named, since an import for its own sake looks forgotten.
LOADED = (surroundings, work, log, worker, [each.handler() for each in runs.cron_functions()])


def serve(listener: socket.socket) -> None:
    """Until whoever started it ends it."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    lives: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(1024)
                _tell_of_the_ended(lives)
            if listener in ready:
                client, _ = listener.accept()
                with client.makefile("rb") as asked:
                    request = json.loads(asked.readline())
                nursery, pid = os.getpid(), os.fork()
                if pid == 0:
                    _live(nursery, request, [listener, wake, woken, client, *lives.values()])
                lives[pid] = client
                client.sendall(b"%d\n" % pid)


def _tell_of_the_ended(lives: dict[int, socket.socket]) -> None:
    for pid, client in list(lives.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del lives[pid]
            with client, suppress(OSError):  # nobody may wait for it any more
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _live(nursery: int, request: Mapping[str, Any], not_ours: list[socket.socket]) -> NoReturn:
    """The forked worker: everything of the nursery is put away, and nothing of it runs afterwards."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    bind_to_parent(nursery, signal.SIGKILL)
    os.setsid()
    for each in not_ours:
        each.close()
    output = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    code: object = 1
    try:
        cli.main(request["words"])
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
