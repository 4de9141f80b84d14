"""Quantities in the one form the API server stores: `1000m` is `1`, `1024Mi` is `1Gi`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from mlops.plugins.kubernetes_provider.kinds import BUILT_IN_GROUPS
from mlops.plugins.kubernetes_provider.objects import kind_of

__all__ = ["canonical", "canonicalize"]

_FORM = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_THOUSAND, _KIBI = 1000, 1024
_NANO = Fraction(1, 10**9)


def canonical(value: str | float) -> str | None:
    """Return the canonical spelling of a quantity, or None where the text is not one."""
    found = _FORM.match(str(value))
    if not found:
        return None
    digits, suffix = found.group(1), found.group(2) or ""
    if suffix in _BINARY:
        amount = Fraction(digits) * _KIBI ** _BINARY[suffix]
        return _binary(amount) if amount.denominator == 1 and abs(amount) >= _KIBI else _decimal(amount)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return None  # the exponent form is kept by the server and never met in practice
    return _decimal(Fraction(digits) * Fraction(10) ** _DECIMAL[suffix])


def _binary(amount: Fraction) -> str:
    number, power = int(amount), 0
    while power < len(_BINARY) and number % _KIBI == 0 and number != 0:
        number //= _KIBI
        power += 1
    return f"{number}{next((name for name, value in _BINARY.items() if value == power), '')}"


def _decimal(amount: Fraction) -> str:
    nanos = amount / _NANO
    number = -(-nanos.numerator // nanos.denominator)  # finer than nano is rounded up
    power = -9
    while power < _DECIMAL["E"] and number % _THOUSAND == 0 and number != 0:
        number //= _THOUSAND
        power += 3
    if number == 0:
        return "0"
    return f"{number}{next(name for name, value in _DECIMAL.items() if value == power)}"


_MAPS = {("resources", "limits"), ("resources", "requests")}
"""(parent, key) of maps whose values are quantities, in every pod template and claim."""

_KIND_MAPS = {
    "LimitRange": {"default", "defaultRequest", "max", "maxLimitRequestRatio", "min"},
    "PersistentVolume": {"capacity"},
    "ResourceQuota": {"hard"},
    "RuntimeClass": {"podFixed"},
}
_LEAVES = {"sizeLimit", "divisor"}
_KIND_LEAVES = {"HorizontalPodAutoscaler": {"averageValue", "value"}}


def canonicalize(obj: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a built-in object with every quantity in canonical form; others are returned as they are."""
    kind = kind_of(obj)
    if kind.group not in BUILT_IN_GROUPS or kind.kind in ("ConfigMap", "Secret", "CustomResourceDefinition"):
        return obj
    maps, leaves = _KIND_MAPS.get(kind.kind, set()), _LEAVES | _KIND_LEAVES.get(kind.kind, set())
    spec = obj.get("spec")
    top = {"spec": spec, "overhead": obj.get("overhead")}
    changed = {key: _walk(value, "", maps, leaves) for key, value in top.items() if isinstance(value, dict)}
    return {**obj, **changed}


def _walk(value: Any, parent: str, maps: set[str], leaves: set[str]) -> Any:
    if isinstance(value, list):
        return [_walk(item, parent, maps, leaves) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if isinstance(item, dict) and ((parent, key) in _MAPS or key in maps):
            result[key] = {name: _leaf(amount) for name, amount in item.items()}
        elif key in leaves and isinstance(item, str | int | float):
            result[key] = _leaf(item)
        else:
            result[key] = _walk(item, key, maps, leaves)
    return result


def _leaf(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    return canonical(value) or value
