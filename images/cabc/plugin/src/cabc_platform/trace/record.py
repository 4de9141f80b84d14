"""The auditor's record as its signed archive has it, read without the auditor's own program.

An archive tells what the auditor knew at any minute since it began. Each entry's hash covers its body's digest and the
entry before it, and a signed head covers them all; `cabc verify --archive` checks the same and the evidence besides.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from cabc_platform.trace.canonical import digest

__all__ = ["KINDS", "Entry", "Record", "RecordError"]

_GENESIS = "sha256:" + "0" * 64

_LARGEST = 1 << 30
"""Bytes that the entries of one chain may unfold to."""

KINDS = frozenset({"assessment", "finding", "statusrecord", "waiver"})
"""What a trace reads. All other entries are checked and not kept: most of a long record are observations."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError)


class RecordError(Exception):
    """The archive does not hold what it should; the text names the first fault in one line."""


@dataclass(frozen=True)
class Entry:
    """One entry of a chain, whose hash was computed again and found right."""

    seq: int
    kind: str
    key: str
    parent: str | None
    at: dt.datetime
    hash: str
    body: Mapping[str, Any] | None
    """None once retention dropped it, and for what a trace does not read."""


class Record:
    """What one subject's chain of assessments says, as far as a signed head reaches."""

    def __init__(self, archive: bytes, subject: str) -> None:
        self.subject = subject
        self.chain = f"assess:{subject}"
        self._end = (0, _GENESIS)
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as opened:
                self.entries = [entry for entry in self._linked(opened) if entry.kind in KINDS]
                self.key_id = self._signed(opened)
        except _UNREADABLE as error:
            msg = f"the archive cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            raise RecordError(msg) from error

    def until(self, when: dt.datetime, kind: str) -> list[Entry]:
        """Return the entries of a kind that had been written by an instant and still have their bodies."""
        return [entry for entry in self.entries if entry.kind == kind and entry.at <= when and entry.body is not None]

    def _linked(self, opened: zipfile.ZipFile) -> Iterator[Entry]:
        name = f"entries/{self.chain.replace(':', '.')}.jsonl"
        if name not in opened.namelist():
            msg = f"the record has no assessment of {self.subject}"
            raise RecordError(msg)
        previous = _GENESIS
        for seq, line in enumerate(_lines(opened, name), 1):
            told = json.loads(line)
            where = f"entry {seq} of {self.chain}"
            if (told["chain"], told["seq"]) != (self.chain, seq):
                msg = f"{where} is {told['seq']} of {told['chain']}"
                raise RecordError(msg)
            if told["previous"] != previous:
                msg = f"{where} names another entry as the one before it"
                raise RecordError(msg)
            if told["body"] is not None and digest(told["body"].encode()) != told["bodyDigest"]:
                msg = f"{where} has another body than was recorded"
                raise RecordError(msg)
            if _hash(told) != told["hash"]:
                msg = f"{where} has another hash than its fields give"
                raise RecordError(msg)
            previous = told["hash"]
            self._end = (seq, previous)
            kept = told["kind"] in KINDS and told["body"] is not None
            yield Entry(
                seq=seq,
                kind=told["kind"],
                key=told["key"],
                parent=told["parent"],
                at=dt.datetime.fromisoformat(told["at"]),
                hash=told["hash"],
                body=json.loads(told["body"]) if kept else None,
            )

    def _signed(self, opened: zipfile.ZipFile) -> str:
        """Check the last head of the chain; return the id of the key that signed it."""
        heads = [head for head in map(json.loads, _lines(opened, "heads.jsonl")) if head["chain"] == self.chain]
        last = max(heads, key=lambda head: int(head["seq"]), default=None)
        if last is None or last["seq"] != self._end[0]:
            msg = f"no signed head says where {self.chain} ends"
            raise RecordError(msg)
        if last["hash"] != self._end[1]:
            msg = f"the signed head of {self.chain} is about another last entry"
            raise RecordError(msg)
        key = _keys(opened).get(last["keyId"])
        if key is None:
            msg = f"the head of {self.chain} is signed by {last['keyId']}, whose key the archive does not have"
            raise RecordError(msg)
        message = {name: value for name, value in last.items() if name != "signature"}
        try:
            key.verify(base64.b64decode(last["signature"], validate=True), _canonical(message))
        except (InvalidSignature, binascii.Error) as error:
            msg = f"the signature of the head of {self.chain} is wrong"
            raise RecordError(msg) from error
        return str(last["keyId"])


def _hash(told: Mapping[str, Any]) -> str:
    names = ("chain", "seq", "kind", "key", "parent", "at", "bodyDigest", "previous")
    return digest(_canonical({name: told[name] for name in names}))


def _canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 spelling of texts and whole numbers under ASCII names."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _lines(opened: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    if opened.getinfo(name).file_size > _LARGEST:
        msg = f"{name} unfolds to more than {_LARGEST >> 20} MiB"
        raise RecordError(msg)
    with opened.open(name) as stream:
        yield from stream


def _keys(opened: zipfile.ZipFile) -> dict[str, Ed25519PublicKey]:
    """Return the keys of the role `assess` by their ids."""
    found = {}
    for name in opened.namelist():
        if name.startswith("keys/assess"):
            key = load_pem_public_key(opened.read(name))
            if isinstance(key, Ed25519PublicKey):
                der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                found[f"sha256:{hashlib.sha256(der).hexdigest()}"] = key
    return found
