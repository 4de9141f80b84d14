"""Property values as they travel between engine and provider: secrets, unknowns and plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2

__all__ = [
    "Opaque",
    "Secret",
    "Unknown",
    "Values",
    "decode",
    "encode",
    "has_secret",
    "has_unknown",
    "is_bulky",
    "mark_secrets",
    "plain",
]

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a public constant of the protocol, not a password)
_UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-77ac-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_EXACT = 2**53
_BULKY = 32 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """A value the engine encrypts in its state."""

    value: Any


@dataclass(frozen=True, slots=True)
class Opaque:
    """A large value passed through as it came: nobody looks inside, nobody pays for unpacking it."""

    value: struct_pb2.Value


class Values(dict[str, Any]):
    """A property map; `marked` is False where it is known that nothing inside is secret."""

    marked = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only an update will tell; the token says of which type."""

    token: str


def decode(
    struct: struct_pb2.Struct, *, only: frozenset[str] | None = None, opaque: frozenset[str] = frozenset()
) -> Values:
    """Turn a property map into Python values; nulls are dropped, as the official provider does.

    `only` names the properties wanted, `opaque` those that are to be passed through unseen.
    """
    found = Values(
        (key, Opaque(value) if key in opaque else _value(value))
        for key, value in struct.fields.items()
        if (only is None or key in only) and value.WhichOneof("kind") != "null_value"
    )
    found.marked = _SIGNATURE.encode() in struct.SerializeToString()
    return found


def _map(struct: struct_pb2.Struct) -> dict[str, Any]:
    found = {key: _value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def is_bulky(struct: struct_pb2.Struct, *words: str) -> bool:
    """Say whether a property map is large and has neither secrets, unknowns nor any of the words inside."""
    if struct.ByteSize() < _BULKY:
        return False
    data = struct.SerializeToString()
    return not any(word.encode() in data for word in (_SIGNATURE, *_UNKNOWNS, *words))


def _value(value: struct_pb2.Value) -> Any:  # noqa: PLR0911 (one return per kind of value)
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE in fields:
            return _special(fields)
        return _map(value.struct_value)
    if kind == "string_value":
        text = value.string_value
        return Unknown(text) if text in _UNKNOWNS else text
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _EXACT else number
    if kind == "bool_value":
        return value.bool_value
    return None


def _special(fields: Any) -> Any:
    signature = fields[_SIGNATURE].string_value
    if signature == _SECRET:
        return Secret(_value(fields["value"]))
    return {key: _value(value) for key, value in fields.items()}


def encode(values: dict[str, Any]) -> struct_pb2.Struct:
    """Turn Python values into a property map."""
    struct = struct_pb2.Struct()
    for key, value in values.items():
        if value is not None:
            _fill(struct.fields[key], value)
    return struct


def _fill(target: struct_pb2.Value, value: Any) -> None:  # noqa: C901, PLR0912 (one branch per kind of value)
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, dict):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            if item is not None:
                _fill(fields[key], item)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif isinstance(value, Secret):
        fields = target.struct_value.fields
        fields[_SIGNATURE].string_value = _SECRET
        _fill(fields["value"], value.value)
    elif isinstance(value, Opaque):
        target.CopyFrom(value.value)
    elif isinstance(value, Unknown):
        target.string_value = value.token
    elif value is None:
        target.null_value = struct_pb2.NULL_VALUE
    else:
        message = f"cannot send a {type(value).__name__} to the engine"
        raise TypeError(message)


def plain(value: Any) -> Any:
    """Return a value without the marks of secrecy (itself, if it has none); unknowns stay."""
    if isinstance(value, Values) and not value.marked:
        return value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Secret):
        return plain(value.value)
    return value


def has_unknown(value: Any) -> bool:
    """Say whether a value that is not known yet hides anywhere inside."""
    return _contains(value, Unknown)


def has_secret(value: Any) -> bool:
    """Say whether a secret hides anywhere inside."""
    if isinstance(value, Values) and not value.marked:
        return False
    return _contains(value, Secret)


def _contains(value: Any, kind: type) -> bool:
    if isinstance(value, kind):
        return True
    if isinstance(value, dict):
        return any(_contains(item, kind) for item in value.values())
    if isinstance(value, list):
        return any(_contains(item, kind) for item in value)
    return isinstance(value, Secret) and _contains(value.value, kind)


def mark_secrets(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Copy secrecy from `source` to the same places of `target`; a Secret's data is always secret.

    Lists are secret as a whole when any element is: the server may reorder them.
    """
    if target.get("kind") == "Secret":
        guarded: dict[str, Any] = {key: _secret(target[key]) for key in ("data", "stringData") if key in target}
        return {**target, **guarded}
    marked = dict(target)
    if isinstance(source, Values) and not source.marked:
        return marked
    for key, given in source.items():
        if key not in marked:
            continue
        value = marked[key]
        if isinstance(value, dict) and isinstance(given, dict):
            marked[key] = mark_secrets(value, given)
        elif has_secret(given):
            marked[key] = _secret(value)
    return marked


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else Secret(plain(value))
