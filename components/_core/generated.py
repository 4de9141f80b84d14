"""Values made once and kept in the state: passwords, certificates. Secret in the state, never in git, never logged."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pulumi import dynamic

__all__ = ["Password", "ServerCertificate"]

VALIDITY = dt.timedelta(days=3650)
"""Lifetime of certificates. They never leave the cluster; renew with `pulumi up --replace`."""


class _PasswordProvider(dynamic.ResourceProvider):
    """Make a password at creation and never change it."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        return dynamic.DiffResult(changes=False)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        length = int(props["length"])
        return dynamic.CreateResult(secrets.token_hex(8), {"length": length, "value": secrets.token_hex(length // 2)})

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        return dynamic.ReadResult(id_, props)


class Password(dynamic.Resource, module="platform", name="Password"):
    """A random secret of hexadecimal digits. Rotate with `pulumi up --replace <urn>`."""

    value: pulumi.Output[str]

    def __init__(self, name: str, *, length: int = 32, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["value"]))
        super().__init__(_PasswordProvider(), name, {"length": length, "value": None}, opts)


class _ServerCertificateProvider(dynamic.ResourceProvider):
    """Make a certificate authority and one server certificate; replaced when a name changes."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        renamed = list(olds.get("names", [])) != list(news.get("names", []))
        # One that was made before its expiry was kept is only looked at again.
        return dynamic.DiffResult(changes=renamed or "expires" not in olds, replaces=["names"] if renamed else [])

    def update(self, _id: str, olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.UpdateResult:
        kept = {key: olds[key] for key in ("names", "authority", "certificate", "key")}
        return dynamic.UpdateResult({**kept, "expires": expiry(kept["certificate"])})

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        names = [str(name) for name in props["names"]]
        made: dict[str, Any] = {"names": names, **make_certificate(names)}
        made["expires"] = expiry(made["certificate"])
        return dynamic.CreateResult(secrets.token_hex(8), made)

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        return dynamic.ReadResult(id_, props)


class ServerCertificate(dynamic.Resource, module="platform", name="ServerCertificate"):
    """A certificate for the given DNS names, signed by an authority whose key is thrown away. All PEM."""

    authority: pulumi.Output[str]
    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    expires: pulumi.Output[float]
    """Seconds since 1970."""

    def __init__(self, name: str, names: list[str], *, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["key"]))
        props = {"names": names, "authority": None, "certificate": None, "key": None, "expires": None}
        super().__init__(_ServerCertificateProvider(), name, props, opts)


def expiry(certificate: str) -> float:
    """Return when a certificate expires, in seconds since 1970."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()


def make_certificate(names: list[str]) -> dict[str, str]:
    """Return the PEM texts `authority`, `certificate` and `key` for the given DNS names."""
    now = dt.datetime.now(dt.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority of {names[0]}"[:64])])

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + VALIDITY)
        )

    authority = (
        builder(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]), key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return {
        "authority": authority.public_bytes(pem).decode(),
        "certificate": certificate.public_bytes(pem).decode(),
        "key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
    }
