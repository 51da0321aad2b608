"""Whence a stranger calls, as limits count it. Nothing here is stored or logged: SQL keeps a keyed hash."""

import ipaddress
from collections.abc import Sequence

from shared.settings import Network

UNKNOWN = "unknown"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# One household or one rented machine has a whole /64; who counts single addresses counts nobody.
_V6_PREFIX = 64


def caller_address(peer: str | None, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The address of whoever called: the socket's peer; behind trusted proxies the last address of
    X-Forwarded-For that none of them has. An IPv6 address as its /64. All that is no address is one caller.

    What stands left of that address was written by the caller, and is not looked at.
    """
    found = _read(peer)
    if found is None:
        return UNKNOWN
    for told in reversed((forwarded_for or "").split(",")):
        if not _is_trusted(found, trusted):
            break
        before = _read(told)
        if before is None:
            break  # the proxy vouches for nothing more
        found = before
    return _counted(found)


def _is_trusted(address: _Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _counted(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, _V6_PREFIX), strict=False))


def _read(text: str | None) -> _Address | None:
    """An address as proxies write it: with a port or a zone, in brackets, IPv4 inside IPv6."""
    written = (text or "").strip().strip('"')
    if written.startswith("["):
        written = written[1:].partition("]")[0]
    elif written.count(":") == 1:
        written = written.partition(":")[0]
    try:
        address = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
