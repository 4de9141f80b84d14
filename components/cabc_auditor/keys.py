"""Signing keys: made once and kept in the state, like passwords. Who reads the record needs the public half alone."""

from __future__ import annotations

import secrets
from typing import Any

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pulumi import dynamic

__all__ = ["SigningKey", "make_key"]


class _SigningKeyProvider(dynamic.ResourceProvider):
    """Make a key at creation and never change it."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        return dynamic.DiffResult(changes=False)

    def create(self, _props: dict[str, Any]) -> dynamic.CreateResult:
        return dynamic.CreateResult(secrets.token_hex(8), make_key())

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        return dynamic.ReadResult(id_, props)


class SigningKey(dynamic.Resource, module="platform", name="SigningKey"):
    """An Ed25519 pair, both halves PEM. Replacing it leaves what it signed without a key to check it by."""

    private: pulumi.Output[str]
    public: pulumi.Output[str]

    def __init__(self, name: str, *, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["private"]))
        super().__init__(_SigningKeyProvider(), name, {"private": None, "public": None}, opts)


def make_key() -> dict[str, str]:
    """Return the PEM texts `private` and `public` of a new pair."""
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"private": private.decode(), "public": public.decode()}
