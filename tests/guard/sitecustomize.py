"""Found by every Python that a test starts, and by the tests themselves: no connection leaves this machine.

Standard library only: it runs before everything else, in processes that know nothing of tests. What was
refused is written to the file that REFUSALS names, since whoever tried may swallow it. No name is looked up:
every one but localhost is unknown, as on a machine without a network.
"""

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

REFUSALS = "TESTS_REFUSED_CONNECTIONS"


def is_loopback(host: object) -> bool:
    """Whether a host is this machine's own loopback, by its name or address."""
    try:
        return host == "localhost" or ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            self.close()
            refusal = f"a test tried to reach {address[0]}: only this machine is allowed"
            if file := os.environ.get(REFUSALS):
                with open(file, "a", encoding="utf-8") as refusals:
                    refusals.write(refusal + "\n")
            raise AssertionError(refusal)
        return connect(self, address)

    return guarded


def _is_address(text: str) -> bool:
    """Whether it is an address in any spelling, which needs no look-up: 2130706433 is 127.0.0.1."""
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        try:
            socket.inet_aton(text)
        except OSError:
            return False
    return True


def _looking_up_nothing(look_up: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text not in (None, "", "localhost") and not _is_address(str(text)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **named)

    return guarded


def install() -> None:
    """From now on, in this process; a second time changes nothing."""
    if socket.getaddrinfo.__name__ == "guarded":
        return
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    socket.getaddrinfo = _looking_up_nothing(socket.getaddrinfo)


install()
