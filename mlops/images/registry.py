"""Asks image registries for digests, by the distribution protocol that all of them speak."""

from __future__ import annotations

import re

import httpx
import yaml

from components._core import images, paths
from mlops.errors import OperationError

__all__ = ["digest", "pin", "upstream"]

_DIGEST = "Docker-Content-Digest"
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_HOSTS = {"docker.io": "registry-1.docker.io"}


def digest(reference: str, client: httpx.Client | None = None) -> str:
    """Return the digest that a tag means now. Raises OperationError when the registry does not tell."""
    registry, _, rest = reference.partition("@")[0].partition("/")
    repository, _, tag = rest.partition(":")
    url = f"https://{_HOSTS.get(registry, registry)}/v2/{repository}/manifests/{tag}"
    with client or httpx.Client(timeout=30, follow_redirects=True) as session:
        try:
            answer = session.head(url, headers={"Accept": _ACCEPT})
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                token = _token(session, answer.headers.get("WWW-Authenticate", ""), repository)
                answer = session.head(url, headers={"Accept": _ACCEPT, "Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            return str(answer.headers[_DIGEST])
        except (httpx.HTTPError, KeyError) as error:
            msg = f"the registry does not tell the digest of {reference}: {error}"
            raise OperationError(msg, fix="mlops doctor shows which registries answer") from error


def upstream(name: str) -> str:
    """Return the upstream reference in an image's recipe, read anew."""
    recipe = yaml.safe_load((paths.CHECKOUT / "images" / name / "image.yaml").read_text())
    return str(recipe["upstream"])


def pin(name: str, client: httpx.Client | None = None) -> bool:
    """Write the digest of the upstream image into a recipe; tell whether that changed it."""
    file = paths.CHECKOUT / "images" / name / "image.yaml"
    found = images.image(name).upstream
    if not found:
        return False
    pinned = f"{found.partition('@')[0]}@{digest(found, client)}"
    if pinned == found:
        return False
    file.write_text(file.read_text().replace(f"upstream: {found}", f"upstream: {pinned}"))
    return True


def _token(session: httpx.Client, challenge: str, repository: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    scope = fields.get("scope") or f"repository:{repository}:pull"
    answer = session.get(fields["realm"], params={"service": fields.get("service", ""), "scope": scope})
    answer.raise_for_status()
    body = answer.json()
    return str(body.get("token") or body["access_token"])
