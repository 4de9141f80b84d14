"""Register objects of a pinned upstream artefact one by one, so that plans, policies and image lists see each."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

__all__ = ["Manifest"]

_VERSION = kubernetes._utilities.get_version()  # noqa: SLF001 (the package offers its plugin version nowhere else)


class Manifest(pulumi.CustomResource):
    """One Kubernetes object given as its manifest, under the type token its typed class has."""

    def __init__(self, name: str, manifest: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        version = manifest["apiVersion"]
        group = version if "/" in version else f"core/{version}"
        defaults = pulumi.ResourceOptions(version=_VERSION)
        super().__init__(
            f"kubernetes:{group}:{manifest['kind']}",
            name,
            manifest,
            pulumi.ResourceOptions.merge(defaults, opts),
        )
