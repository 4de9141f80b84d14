"""What an order form may say about dashboards, and the pin of Grafana."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components._core.config import ComponentConfig, DnsName, Resources, Settings

__all__ = ["IMAGE", "GrafanaConfig", "Oidc", "Prices", "Url"]

IMAGE = "docker.io/grafana/grafana:12.4.2@sha256:83749231c3835e390a3144e5e940203e42b9589761f20ef3169c716e734ad505"
"""Its own project's image. It is not in `images/`, which has what we can build: Grafana we never do."""

Url = Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[^\s]+$")]

Reference = Annotated[
    str, pydantic.StringConstraints(pattern=r"^[\w.-]+(:\d+)?/[\w./-]+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$")
]

Price = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Prices(Settings):
    """What resources cost. The defaults are near the list prices of general-purpose machines of large clouds."""

    currency: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    """Three letters, as in ISO 4217."""

    core_hour: Price = 0.032
    """Price of one core for an hour."""

    gib_hour: Price = 0.0043
    """Price of one GiB of memory for an hour."""


class Oidc(Settings):
    """Log in with the accounts of an OpenID Connect provider. The flow uses PKCE."""

    client_id: str
    """Id that the provider gave this Grafana; its redirect URI is `<rootUrl>/login/generic_oauth`."""

    auth_url: Url
    """The provider's `authorization_endpoint`."""

    token_url: Url
    """The provider's `token_endpoint`."""

    userinfo_url: Url
    """The provider's `userinfo_endpoint`."""

    name: str = "OpenID Connect"
    """What the button says."""

    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What is asked for; add the one that brings groups or roles, if the provider has one."""

    role_path: str = "'Viewer'"
    """JMESPath that makes a role of a user's claims: `contains(groups[*], 'ops') && 'Admin' || 'Viewer'`."""

    secret: DnsName = "grafana-oidc"  # noqa: S105 (its name)
    """Secret in namespace `grafana` whose key `client-secret` is the client's; a public client needs none."""


class GrafanaConfig(ComponentConfig):
    """One Grafana. All that it shows is provisioned; it keeps nothing."""

    image: Reference | None = None
    """Take Grafana's image from here, for example a mirror. Needed where only package registries are reachable."""

    root_url: Url = "http://localhost:3000/"
    """Where people reach it; the default is a forwarded port."""

    oidc: Oidc | None = None
    """Log in through a provider. Without it there is one user, `admin`."""

    prices: Prices = Prices()
    """What the cost dashboard counts with."""

    resources: Resources = Resources.model_validate(
        {"cpu": "20m", "memory": "128Mi", "cpuLimit": "1", "memoryLimit": "384Mi"}
    )
    """Requests and limits."""
