"""DSSE envelopes (v1) with ed25519: signed bytes whose type is signed with them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cabc.interfaces.base import ExtractError
from cabc.interfaces.structured import parse_json

__all__ = ["IN_TOTO", "EnvelopeError", "pae", "seal", "unseal"]

IN_TOTO = "application/vnd.in-toto+json"
_SIGNATURES = 20


class EnvelopeError(ExtractError):
    """The envelope is malformed, or nobody trusted signed it."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, key: Ed25519PrivateKey, *, key_id: str, payload_type: str = IN_TOTO) -> bytes:
    """Return an envelope around the payload."""
    signature = base64.b64encode(key.sign(pae(payload_type, payload))).decode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": key_id, "sig": signature}],
    }
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()


def unseal(envelope: bytes, keys: Sequence[str], *, payload_type: str = IN_TOTO) -> bytes:
    """Return the payload if one of the public keys (PEM) signed it as this type; the key's id is only a hint."""
    document = parse_json(envelope)
    try:
        payload, kind = _decoded(document["payload"]), document["payloadType"]
        signatures = [_decoded(signature["sig"]) for signature in document["signatures"][:_SIGNATURES]]
    except (KeyError, TypeError) as error:
        msg = "the answer is no DSSE envelope"
        raise EnvelopeError(msg) from error
    if kind != payload_type:
        msg = f"the envelope is not of type {payload_type}"
        raise EnvelopeError(msg)
    if not keys:
        msg = "the assessor has no public key in the document"
        raise EnvelopeError(msg)
    signed = pae(kind, payload)
    if not any(_signed(_public(key), signature, signed) for key in keys for signature in signatures):
        msg = "no signature of the envelope is by a key of the assessor"
        raise EnvelopeError(msg)
    return payload


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = "a public key of the assessor is no PEM"
        raise EnvelopeError(msg) from error
    if not isinstance(key, Ed25519PublicKey):
        msg = "a public key of the assessor is not ed25519"
        raise EnvelopeError(msg)
    return key


def _signed(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _decoded(text: object) -> bytes:
    """Return base64, standard or URL-safe."""
    if not isinstance(text, str):
        raise TypeError
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "the envelope has text that is no base64"
        raise EnvelopeError(msg) from error
