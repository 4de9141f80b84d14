"""Which network addresses a connection may reach."""

from __future__ import annotations

import ipaddress

from cabc.interfaces.connections import Network

__all__ = ["refusal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    )
)
"""Instance metadata of the large clouds; most are link-local, some hide in private or public ranges."""

_CARRIES_IPV4 = tuple(
    ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
"""IPv4-compatible, IPv4-translated, NAT64: the last 32 bits are the address that is reached in the end."""

_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_NEEDS_LOOPBACK = "a loopback address, which needs `network: loopback`"


def refusal(address: str, network: Network) -> str | None:
    """Return why the address may not be dialled through a connection of this network, None when it may."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id:
        return "a link-local address"
    return next((why for candidate in _all(ip) if (why := _refusal(candidate, network))), None)


def _all(ip: Address) -> list[Address]:
    """Return the address and every IPv4 address that is reached through it."""
    if isinstance(ip, ipaddress.IPv4Address) or ip in (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1")):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip.sixtofour:
        return [ip, ip.sixtofour]
    if ip.teredo:
        return [ip, *ip.teredo]
    if any(ip in network for network in _CARRIES_IPV4):
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip]


def _refusal(ip: Address, network: Network) -> str | None:
    for kind, found in (
        ("an instance metadata address", ip in _METADATA),
        ("an unspecified address", ip.is_unspecified or ip in _THIS_NETWORK),
        ("a multicast address", ip.is_multicast),
        ("a link-local address", ip.is_link_local),
    ):
        if found:
            return kind
    if ip.is_loopback or network == "loopback":
        allowed = ip.is_loopback and network == "loopback"
        return None if allowed else _NEEDS_LOOPBACK if ip.is_loopback else "not a loopback address"
    if ip.is_reserved:
        return "a reserved address"
    if not ip.is_global and network != "internal":
        return "a private address, which needs `network: internal`"
    return None
