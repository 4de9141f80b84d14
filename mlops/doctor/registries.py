"""Where tools and images come from: what answers, what is in use, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components._core.sources import Source
from mlops import toolchain
from mlops.doctor.checks import Check, good, warning
from mlops.toolchain.source import REGISTRIES, UPSTREAM, probe

__all__ = ["examine"]

SECTION = "sources"

Probe = Callable[[Mapping[str, str]], Mapping[str, str | None]]


def examine(ask: Probe = probe) -> list[Check]:
    """Knock at every door at once; say which source is in use."""
    answers = ask({**UPSTREAM, **REGISTRIES})
    choice = toolchain.choose(reachable=lambda wanted: {name: answers[name] for name in wanted})
    found = [good(SECTION, "source in use", f"{choice.source}: {choice.reason}")]
    for source, addresses in ((Source.UPSTREAM, UPSTREAM), (Source.REGISTRY_ONLY, REGISTRIES)):
        silent = {name: answers[name] for name in addresses if answers[name]}
        names = ", ".join(name for name in addresses if name not in silent)
        if names:
            found.append(good(SECTION, f"{source} answers", names))
        if not silent:
            continue
        text = "; ".join(f"{name} ({_short(why)})" for name, why in silent.items())
        if source is choice.source:
            fix = "check network and proxy" + (
                ", or set MLOPS_SOURCE=registry-only" if source is Source.UPSTREAM else ""
            )
            found.append(warning(SECTION, f"{source} does not answer", text, fix))
        else:
            found.append(good(SECTION, f"{source} is not reachable, nor needed", ", ".join(silent)))
    return found


def _short(why: str | None) -> str:
    text = " ".join((why or "").split())
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 (a line's worth)
