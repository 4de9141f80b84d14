"""What can be wrong with a composition. Each is one line that names both sides and the fix.

PlatformError
├── OrderFormError         a value in the order form
├── UnknownComponentError  a key under `components` that is no folder
├── MissingProviderError   a contract nobody provides
├── DoubledProviderError   a contract that two provide
├── CyclicNeedsError       components that need each other
└── TooFewConnectionsError a database server that all together would use up
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "CyclicNeedsError",
    "DoubledProviderError",
    "MissingProviderError",
    "OrderFormError",
    "PlatformError",
    "TooFewConnectionsError",
    "UnknownComponentError",
]


class PlatformError(Exception):
    """A composition that cannot be deployed.

    `keys` is the path of the offending key in the order form, for callers that know its file and line.
    """

    def __init__(self, keys: Sequence[str | int], *, found: str, wanted: str, fix: str) -> None:
        self.keys = tuple(keys)
        self.found = found
        self.wanted = wanted
        self.fix = fix
        super().__init__(f"{'.'.join(map(str, keys))}: found {found}, wanted {wanted}; fix: {fix}")


class OrderFormError(PlatformError):
    """A value has the wrong type, is out of range, or its key is unknown."""


class UnknownComponentError(PlatformError):
    """The order form asks for a component that does not exist."""

    def __init__(self, key: str, known: Iterable[str], close: str | None) -> None:
        fix = f"write {close}" if close else "remove the line, or add a folder under components/"
        super().__init__(
            ("components", key), found=f"component {key!r}", wanted=f"one of {', '.join(sorted(known))}", fix=fix
        )


class MissingProviderError(PlatformError):
    """A component requires a contract that no other component of the order form provides."""

    def __init__(self, key: str, contract: str, providers: Sequence[str]) -> None:
        can = " or ".join(f"`{name}: {{}}`" for name in providers)
        super().__init__(
            ("components", key),
            found=f"{key} without a provider of {contract}",
            wanted=f"one component that provides {contract}",
            fix=f"add {can} under components" if can else f"no component of the catalogue provides {contract}",
        )


class DoubledProviderError(PlatformError):
    """Two components of one order form provide the same contract."""

    def __init__(self, contract: str, first: str, second: str) -> None:
        super().__init__(
            ("components", second),
            found=f"{first} and {second}, both providing {contract}",
            wanted=f"one provider of {contract}",
            fix=f"remove {first} or {second}",
        )


class CyclicNeedsError(PlatformError):
    """Components need each other in a circle, so none can be deployed first."""

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(
            ("components", cycle[0]),
            found=f"the circle {' → '.join((*cycle, cycle[0]))}",
            wanted="an order in which every component comes after those it needs",
            fix="remove one of them, or let one use what exists",
        )


class TooFewConnectionsError(PlatformError):
    """A database server accepts fewer connections than those who use it may hold together."""

    def __init__(self, keys: Sequence[str], accepted: int, held: Mapping[str, int]) -> None:
        wanted = sum(held.values())
        parts = ", ".join(f"{who} {number}" for who, number in held.items())
        super().__init__(
            keys, found=str(accepted), wanted=f"at least {wanted} ({parts})", fix=f"set {keys[-1]} to {wanted} or more"
        )
