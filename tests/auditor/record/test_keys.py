"""Keys: made once, whoever asks first; private ones private; retired public ones kept for the past."""

from __future__ import annotations

import hashlib
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.chain import draft
from cabc.record.keys import Keys, PublicKey, signed_by
from cabc.record.verify import verify

from tests.support import cabc as sample


def test_of_many_that_ask_first_one_makes_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = {found.key_id for found in pool.map(lambda _: Keys(tmp_path / "k").sign("assess", b"x"), range(16))}
    assert len(ids) == 1
    assert {file.name for file in (tmp_path / "k").iterdir()} == {"assess.key", "assess.pub"}
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "k" / "assess.key").stat().st_mode) == 0o600


def test_the_id_is_what_openssl_says(tmp_path: Path) -> None:
    id_ = Keys(tmp_path).sign("assess", b"x").key_id
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "assess.pub", "-outform", "DER"],
        check=True,
        capture_output=True,
    ).stdout
    assert id_ == f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_a_key_that_is_replaced_still_verifies_the_past(tmp_path: Path) -> None:
    with sample.record(tmp_path) as book:
        sample.run(book, 1)
    (tmp_path / "keys" / "assess.key").unlink()
    with sample.record(tmp_path) as book:
        sample.run(book, 2)
        assert len([key for key in book.keys.public().values() if key.role == "assess"]) == 2
        assert verify(book, keys=book.keys, anchors=[tmp_path / "anchors"]) == []


def test_a_process_needs_its_own_private_key_only(tmp_path: Path) -> None:
    with sample.record(tmp_path) as book:
        sample.run(book, 1)
    (tmp_path / "keys" / "collect.key").unlink()
    (tmp_path / "keys" / "assess.key").unlink()
    with sample.record(tmp_path, role="publish") as book:
        book.append([draft(sample.publication())])
    assert not (tmp_path / "keys" / "assess.key").exists()


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_private_key_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "assess.key").write_bytes(content)
    with pytest.raises(CabcError, match=r"assess\.key: found no Ed25519 private key"):
        Keys(tmp_path).sign("assess", b"x")
    assert (tmp_path / "assess.key").read_bytes() == content


def test_one_spelling_of_a_signature_counts(tmp_path: Path) -> None:
    import base64

    keys = Keys(tmp_path)
    made = keys.sign("assess", b"data")
    key: PublicKey = keys.public()[made.key_id]
    text = base64.b64encode(made.value).decode()
    assert signed_by(key, b"data", text)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(text[-3])
    twin = text[:-3] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last ^ 1] + "=="
    assert base64.b64decode(twin) == made.value
    assert not signed_by(key, b"data", twin)
    assert not signed_by(key, b"other", text)
