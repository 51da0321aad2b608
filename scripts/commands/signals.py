"""SIGTERM and Ctrl-C for long-running commands: the first ends them in order, the second at once."""

import os
import signal
import threading
from types import FrameType


def stop_on_signals(*, hang_up: bool = False) -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets (and, with hang_up, a terminal that closes, unless nohup
    is to be heeded). Call it from the main thread."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    wanted = [signal.SIGTERM, signal.SIGINT]
    if hang_up and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    for number in wanted:
        signal.signal(number, ask)
    return stop
