"""What `pulumi.com/waitFor` asks for: `condition=Ready`, `jsonpath={.status.phase}=Running`, or a JSON array."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mlops.plugins.kubernetes_provider.errors import ProviderError
from mlops.plugins.kubernetes_provider.objects import condition
from mlops.plugins.kubernetes_provider.readiness.jsonpath import JsonPathError, compile_path
from mlops.plugins.kubernetes_provider.readiness.verdict import Verdict, pending, ready

__all__ = ["wait_for"]

Judge = Callable[[dict[str, Any]], Verdict]


def wait_for(expression: str) -> Judge:
    """Return the judge an annotation's value describes."""
    try:
        parsed = json.loads(expression)
    except ValueError:
        parsed = None
    wanted = parsed if isinstance(parsed, list) else [expression]
    if not wanted:
        raise ProviderError("pulumi.com/waitFor: at least one condition must be specified")
    judges = [_judge(str(text)) for text in wanted]

    def all_of(live: dict[str, Any]) -> Verdict:
        open_ones = [verdict for verdict in (judge(live) for judge in judges) if not verdict.done]
        if not open_ones:
            return ready()
        return pending(open_ones[0].status, *(reason for verdict in open_ones for reason in verdict.reasons))

    return all_of


def _judge(text: str) -> Judge:
    kind, _, rest = text.partition("=")
    if kind == "condition" and rest:
        name, _, value = rest.partition("=")
        return _condition(name.strip("'\""), value.strip("'\"") or "True")
    if kind == "jsonpath":
        return _jsonpath(rest)
    message = f'pulumi.com/waitFor: expected a "jsonpath=" or "condition=" prefix, got "{text}"'
    raise ProviderError(message)


def _condition(name: str, value: str) -> Judge:
    def judge(live: dict[str, Any]) -> Verdict:
        found = next(
            (item for item in (live.get("status") or {}).get("conditions") or [] if _is(item, name)),
            condition(live, name),
        )
        stale = found is not None and _stale(live, found)
        if found is not None and not stale and str(found.get("status", "")).lower() == value.lower():
            return ready()
        what = f'Waiting for condition "{name}"' + ("" if value == "True" else f' to be "{value}"')
        if found is None:
            return pending(what)
        why = ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key))
        state = f"{found.get('status')}{' - ' + why if why else ''}{', not yet for this generation' if stale else ''}"
        return pending(f"{what} (found {state})")

    return judge


def _is(item: Any, name: str) -> bool:
    return isinstance(item, dict) and str(item.get("type", "")).lower() == name.lower()


def _stale(live: dict[str, Any], found: dict[str, Any]) -> bool:
    """Say whether the condition itself tells that it was written for an older generation.

    `.status.observedGeneration` is no help: KServe, for one, copies that of another object into it.
    """
    generation = (live.get("metadata") or {}).get("generation")
    observed = found.get("observedGeneration")
    return isinstance(generation, int) and isinstance(observed, int) and observed < generation


def _jsonpath(text: str) -> Judge:
    path, value = _split(text)
    try:
        find = compile_path(path)
    except JsonPathError as error:
        message = f"pulumi.com/waitFor: {error}"
        raise ProviderError(message) from error

    def judge(live: dict[str, Any]) -> Verdict:
        found = find(live)
        if found and (all(_text(item) == value for item in found) if value is not None else all(map(_full, found))):
            return ready()
        seen = f" (found {', '.join(map(_text, found))})" if found else ""
        return pending(f"Waiting for jsonpath={text}{seen}")

    return judge


def _split(text: str) -> tuple[str, str | None]:
    """Split `{.path}=value` where the path ends; `=` inside of a filter belongs to the path."""
    if text[:1] in ("'", '"') and text.count(text[0]) > 1:
        path, _, rest = text[1:].partition(text[0])
        return path, rest[1:].strip("'\"") if rest.startswith("=") else None
    if text.startswith("{"):
        end = text.rfind("}=") if "}=" in text else len(text) - 1
        path, rest = text[: end + 1], text[end + 1 :]
    else:
        depth, end = 0, len(text)
        for position, character in enumerate(text):
            depth += (character == "[") - (character == "]")
            if character == "=" and depth == 0:
                end = position
                break
        path, rest = text[:end], text[end:]
    return path, rest[1:].strip("'\"") if rest.startswith("=") else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def _full(value: Any) -> bool:
    return value not in (None, "", [], {})
