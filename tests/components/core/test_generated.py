"""What is made once."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from components._core import generated

NAMES = ["webhook.system.svc", "webhook.system.svc.cluster.local"]


def test_certificate_is_signed_by_its_authority_for_the_names() -> None:
    made = generated.make_certificate(NAMES)
    authority = x509.load_pem_x509_certificate(made["authority"].encode())
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    certificate.verify_directly_issued_by(authority)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == NAMES
    key = authority.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)


def test_certificate_is_made_again_when_a_name_changes() -> None:
    provider = generated._ServerCertificateProvider()
    olds = provider.create({"names": NAMES}).outs
    assert olds is not None
    assert provider.diff("id", olds, {"names": NAMES}).changes is False
    changed = provider.diff("id", olds, {"names": NAMES[:1]})
    assert changed.changes is True
    assert changed.replaces == ["names"]


def test_certificate_of_an_older_release_is_kept_and_its_expiry_read() -> None:
    provider = generated._ServerCertificateProvider()
    made = provider.create({"names": NAMES}).outs
    assert made is not None
    olds = {key: value for key, value in made.items() if key != "expires"}
    difference = provider.diff("id", olds, {"names": NAMES})
    assert (difference.changes, difference.replaces) == (True, [])
    assert provider.update("id", olds, {"names": NAMES}).outs == made
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    assert made["expires"] == certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("length", [16, 32, 64])
def test_password_has_its_length_and_stays(length: int) -> None:
    provider = generated._PasswordProvider()
    first = provider.create({"length": length}).outs
    assert first is not None
    assert len(first["value"]) == length
    assert first["value"] != provider.create({"length": length}).outs["value"]  # type: ignore[index]
    assert provider.diff("id", first, {"length": 8}).changes is False
    assert provider.read("id", first).outs == first
