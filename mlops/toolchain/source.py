"""Which source to use: asked for, remembered, or found by knocking at the doors of the official one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from components._core import sources
from components._core.sources import Source
from mlops.errors import UsageError

__all__ = ["REGISTRIES", "UPSTREAM", "Choice", "choose", "probe"]

UPSTREAM: Mapping[str, str] = {
    "get.pulumi.com": "https://get.pulumi.com/",
    "github.com": "https://github.com/",
    "dl.k8s.io": "https://dl.k8s.io/",
    "docker.io": "https://registry-1.docker.io/v2/",
    "quay.io": "https://quay.io/v2/",
    "ghcr.io": "https://ghcr.io/v2/",
    "registry.k8s.io": "https://registry.k8s.io/v2/",
}
"""What the official tools and images come from: all of it is needed."""

REGISTRIES: Mapping[str, str] = {
    "PyPI": "https://pypi.org/simple/uv/",
    "Go module proxy": "https://proxy.golang.org/",
    "Debian": "https://deb.debian.org/debian/dists/stable/Release",
}
"""What everything can be built from."""

_SECONDS = 4.0


@dataclass(frozen=True)
class Choice:
    """A source and why it was chosen."""

    source: Source
    reason: str


def choose(
    asked: Source | None = None,
    *,
    remembered: Callable[[], Source | None] = sources.chosen,
    reachable: Callable[[Mapping[str, str]], Mapping[str, str | None]] | None = None,
) -> Choice:
    """Decide: the option, else `MLOPS_SOURCE` or what was remembered, else what answers."""
    if asked is not None:
        return Choice(asked, "asked for")
    try:
        known = remembered()
    except ValueError as error:
        msg = f"MLOPS_SOURCE: {error}"
        raise UsageError(msg, fix=f"use one of {', '.join(Source)}") from error
    if known is not None:
        return Choice(known, "MLOPS_SOURCE, or chosen by an earlier installation")
    answers = (reachable or probe)(UPSTREAM)
    silent = [name for name, problem in answers.items() if problem]
    if silent:
        return Choice(Source.REGISTRY_ONLY, f"not reachable: {', '.join(silent)}")
    return Choice(Source.UPSTREAM, "the official sites answer")


def probe(addresses: Mapping[str, str]) -> dict[str, str | None]:
    """Knock at every address at once; None means it answers, else why not. Takes seconds at most."""
    trusted = ssl.create_default_context()  # what the machine trusts, as pip, Go and uv do here

    def knock(url: str) -> str | None:
        try:
            with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=False, verify=trusted) as answer:
                status = answer.status_code
        except (httpx.HTTPError, OSError) as error:
            return str(error) or type(error).__name__
        # A registry asks for a login; a proxy that forbids the site says so with another number.
        welcome = status < HTTPStatus.BAD_REQUEST or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)
        return None if welcome else f"answers {status}"

    with futures.ThreadPoolExecutor(max_workers=len(addresses)) as pool:
        return dict(zip(addresses, pool.map(knock, addresses.values()), strict=True))
