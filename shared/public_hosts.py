"""Which hosts and addresses are the public Internet's. No network here: who connects is shared/media."""

import ipaddress
import re

import httpx

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The registries of special addresses (RFC 6890 and IANA's lists since), written out: what `is_global` says
# differs between versions of Python. Azure's 168.63.129.16 looks public, and answers each machine alone.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
# Only what has been given out is public. In it: protocol assignments with Teredo, documentation, 6to4.
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(each)
    for each in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Names that are nobody's on the Internet (RFC 6761, 6762, 8375, and what resolvers of clouds answer).
_PRIVATE_ENDINGS = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet. Addresses that carry another inside (mapped, 6to4,
    Teredo, NAT64) are none: a gateway on the way would take the inner one."""
    try:
        found: _Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    if found.scope_id is not None:
        return False
    return found in _PUBLIC_6 and not any(found in network for network in _NOT_PUBLIC_6)


def is_public_name(host: str) -> bool:
    """Whether a host is written as a name of the public DNS: labels of ASCII, at least two, the last no
    number. No address in any spelling is one: decimal, octal, hexadecimal, bracketed."""
    labels = host.lower().removesuffix(".").split(".")
    if len(host) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(each) for each in labels):
        return False
    last = labels[-1]
    return last not in _PRIVATE_ENDINGS and re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is None


def is_public_url(url: str) -> bool:
    """Whether a provider may be told to fetch this: http or https at a public name or address, no user."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    host = parsed.host
    return (
        parsed.scheme in ("http", "https")
        and not parsed.userinfo
        and (is_public_name(host) or is_public(host))
    )


def fault_of(url: str, *, hosts: tuple[str, ...] = ()) -> str | None:
    """What speaks against asking an address that a stranger chose, before its name is looked up: anything but
    https on its own port, a user in it, a host that is no public name, or not one of `hosts` or below one."""
    # What parsers read differently is refused before any of them reads it.
    if re.search(r"[\x00-\x20\\\x7f]", url) or not url.isascii():
        return "the address has characters that none has"
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return "the address is none"
    name = parsed.host.lower().removesuffix(".")
    faults = {
        "the address is not https": parsed.scheme != "https",
        "the address has a user in it": bool(parsed.userinfo) or b"@" in parsed.netloc,
        "the address has a port of its own": parsed.port not in (None, 443),
        "the host is no public name": not is_public_name(parsed.host),
        "the host is not one of ROLETA_MEDIA_HOSTS": bool(hosts)
        and not any(name == each or name.endswith(f".{each}") for each in hosts),
    }
    return next((fault for fault, is_there in faults.items() if is_there), None)
