"""Secrets leave an answer before it is hashed; measurements stay."""

from __future__ import annotations

import json

import pytest
from cabc.errors import CabcError
from cabc.interfaces.redaction import MARK, redact, redact_text

TOKEN = "".join(chr(code) for code in range(ord("a"), ord("z") + 1)) + "0123456789"


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f'{{"header": "bearer {TOKEN}"}}', TOKEN),
        ("authorization: basic dTpodW50ZXIy", "dTpodW50ZXIy"),
        ("'Authorization': 'Token 0123456789abcdef'", "0123456789abcdef"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl", "eyJzdWIiOiJzeXN0ZW0ifQ"),
        ("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ('"aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"', "K7MDENG"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ('"-----BEGIN PRIVATE KEY-----\\nMIIabc\\n-----END PRIVATE KEY-----"', "MIIabc"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMIIabc cut off", "MIIabc"),
        ("postgresql://reader:hunter2@db/features", "hunter2"),
        ("https://user:p%40ss@host/", "p%40ss"),
        ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"),
    ],
)
def test_built_in_patterns_take_the_secret_out(body: str, secret: str) -> None:
    redacted, found = redact(body.encode(), [])
    assert found
    assert secret.encode() not in redacted
    assert MARK.encode() in redacted


@pytest.mark.parametrize(
    "body",
    [
        b'{"value": 0.93}',
        b"https://host/path:8080/a@b",
        b"the bearer of news",
        b"basic internationalization-rules",
        b"time 12:30:15",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_secret_stays_to_the_byte(body: bytes) -> None:
    assert redact(body, []) == (body, False)


def test_json_stays_json() -> None:
    body = json.dumps({"url": "https://u:secret@h/", "auth": f"Bearer {TOKEN}", "value": 1}).encode()
    assert json.loads(redact(body, [])[0]) == {"url": f"https://u:{MARK}@h/", "auth": f"Bearer {MARK}", "value": 1}


def test_the_operators_patterns_are_applied_as_well() -> None:
    assert redact(b"id=customer-42 ok", [r"customer-\d+"]) == (f"id={MARK} ok".encode(), True)
    assert redact(b"abc", ["x*"]) == (b"abc", False)


def test_redacting_twice_changes_nothing() -> None:
    once, _ = redact(f"Bearer {TOKEN} https://a:bcdef@c".encode(), [])
    assert redact(once, [])[0] == once


def test_a_secret_beside_bytes_that_are_no_text_is_found() -> None:
    assert TOKEN.encode() not in redact(b"\xff Bearer " + TOKEN.encode() + b"\xfe", [])[0]


def test_a_wrong_pattern_names_itself() -> None:
    with pytest.raises(CabcError, match=r"'\('"):
        redact(b"", ["("])


def test_messages_are_redacted_too() -> None:
    assert "hunter2" not in redact_text("cannot open postgresql://a:hunter2@b")
