"""Signing keys: one Ed25519 pair per role, made when it is first needed; public keys of the others beside it."""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cabc.errors import CabcError
from cabc.record.canonical import canonical, digest
from cabc.record.types import Head

__all__ = ["ROLES", "Keys", "PublicKey", "Role", "Signature", "head_message", "role_of", "signed_by"]

Role = Literal["collect", "assess", "publish"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Signature:
    """Bytes that a key made, and which key."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that somebody may have signed with, and in which role."""

    id: str
    """SHA-256 of the DER form: what `openssl pkey -pubin -outform DER | sha256sum` prints."""
    role: Role
    key: Ed25519PublicKey

    @classmethod
    def of(cls, key: Ed25519PublicKey, role: Role) -> PublicKey:
        """Return a key with its id."""
        return cls(digest(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), role, key)

    @classmethod
    def parse(cls, pem: bytes, role: Role, file: str) -> PublicKey:
        """Read a PEM public key; CabcError when it is none or of another kind."""
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            msg = f"{file}: found no Ed25519 public key in PEM"
            raise CabcError(msg, fix="put the public key of the role there, or remove the file")
        return cls.of(key, role)

    @property
    def pem(self) -> bytes:
        """The key as text."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Keys:
    """A folder of keys: `collect.key` and `collect.pub`, the same for assess and publish.

    Retired public keys stay as `<role>-<anything>.pub`. A process of one role needs its own `.key` and the others'
    `.pub` only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._private: dict[Role, tuple[str, Ed25519PrivateKey]] = {}

    def sign(self, role: Role, data: bytes) -> Signature:
        """Sign bytes with a role's key, which is made now if there is none."""
        id_, key = self._own(role)
        return Signature(id_, key.sign(data))

    def id_of(self, role: Role) -> str:
        """Return the id of a role's key, which is made now if there is none."""
        return self._own(role)[0]

    def public(self) -> dict[str, PublicKey]:
        """Return every public key that is known, by id."""
        found = {}
        for role in ROLES:
            for file in sorted({self.folder / f"{role}.pub", *self.folder.glob(f"{role}-*.pub")}):
                if file.exists():
                    key = PublicKey.parse(file.read_bytes(), role, str(file))
                    found[key.id] = key
        return found

    def add_public(self, key: PublicKey) -> None:
        """Keep a public key that comes from elsewhere."""
        if key.id not in self.public():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            plain = self.folder / f"{key.role}.pub"
            (self._retired(key) if plain.exists() else plain).write_bytes(key.pem)

    def _retired(self, key: PublicKey) -> Path:
        return self.folder / f"{key.role}-{key.id.removeprefix('sha256:')[:16]}.pub"

    def _own(self, role: Role) -> tuple[str, Ed25519PrivateKey]:
        if role not in self._private:
            key = self._load(role)
            self._private[role] = (PublicKey.of(key.public_key(), role).id, key)
        return self._private[role]

    def _load(self, role: Role) -> Ed25519PrivateKey:
        file = self.folder / f"{role}.key"
        if not file.exists():
            self._create(file)
        try:
            key = load_pem_private_key(file.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            msg = f"{file}: found no Ed25519 private key in PEM without password"
            raise CabcError(msg, fix="restore the key from your backup; a new one only changes who signs from now on")
        self._keep_public(PublicKey.of(key.public_key(), role))
        return key

    def _create(self, file: Path) -> None:
        """Make a key; of two processes that do it at once, one wins and both use its key."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(pem)
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(name, file)
            except FileExistsError:
                return
        finally:
            Path(name).unlink()

    def _keep_public(self, key: PublicKey) -> None:
        """Write the public half; the public key of a private one that is gone is retired, not lost."""
        plain = self.folder / f"{key.role}.pub"
        if plain.exists():
            old = PublicKey.parse(plain.read_bytes(), key.role, str(plain))
            if old.id == key.id:
                return
            self._retired(old).write_bytes(old.pem)
        # Written whole and renamed: a reader never sees half a key.
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-", delete=False) as stream:
            stream.write(key.pem)
        Path(stream.name).chmod(0o644)
        Path(stream.name).replace(plain)


def role_of(chain: str) -> Role:
    """Return whose key signs a chain; the auditing party answers for `system`."""
    prefix = chain.partition(":")[0]
    for role in ROLES:
        if role == prefix:
            return role
    return "assess"


def head_message(head: Head) -> bytes:
    """Return the bytes that a head's signature covers."""
    return canonical(head.model_dump(mode="json", exclude={"signature"})).encode()


def signed_by(key: PublicKey, data: bytes, signature: str) -> bool:
    """Tell whether a key made a signature; one spelling of it counts, base64 has several."""
    try:
        value = base64.b64decode(signature, validate=True)
        key.key.verify(value, data)
    except (ValueError, InvalidSignature):
        return False
    return base64.b64encode(value).decode() == signature
