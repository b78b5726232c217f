"""Which hosts and addresses on the network may be spoken to.

Called by fetch.py before every connection.  Pure: it resolves nothing.  What
is not known to be public is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "2002::/16",  # 6to4: ends at the IPv4 address inside
        "2001::/32",  # Teredo: likewise
        "3fff::/20",  # documentation, newer than some registries' copies
        "192.88.99.0/24",  # 6to4 relays
        "192.0.0.0/24",  # protocol assignments: anycast that ends at the nearest gateway
    )
)


def literal(host: str) -> Address | None:
    """The address that a URL's host spells, None when it is a name; raises ValueError when it is neither.

    A host that ends in a number and is no plain dotted quad (decimal, octal,
    hexadecimal, short forms) is neither: resolvers read those as addresses
    (WHATWG URL, "ends in a number").
    """
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id is not None:
            raise ValueError("the address names a zone")
        return address
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return ipaddress.IPv4Address(host)
    if len(host) > 253 or _NAME.fullmatch(host) is None:
        raise ValueError("the host is no name in ASCII letters, digits, hyphens and dots")
    return None


def is_public(address: Address) -> bool:
    """True for addresses that anyone on the Internet may serve from; tunnels and mapped forms are not taken."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:  # DNS64: the IPv4 address inside is where the connection ends
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
