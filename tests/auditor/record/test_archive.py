"""An archive stands alone: it is verified without the home it comes from, and restored into an empty one."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.archive import Archive, export, restore, verify_archive
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.container import ContainerError
from cabc.record.keys import Keys
from cabc.record.verify import verify

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT


def _export(folder: Path, path: Path, subject: str | None = None) -> Path:
    with sample.record(folder) as book:
        export(
            book,
            subject,
            path,
            keys=book.keys,
            anchors=[folder / "anchors"],
            published=folder / "published",
        )
    return path


@pytest.fixture
def home(three_runs: Path, tmp_path: Path) -> Path:
    """Give a home with three runs."""
    shutil.copytree(three_runs, tmp_path / "home")
    return tmp_path / "home"


def test_an_archive_holds_without_its_home(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    shutil.rmtree(home)
    counts: Counter[str] = Counter()
    assert verify_archive(path, counts=counts) == []
    assert counts["entries"] == 20
    assert counts["evidence"] == 4
    assert counts["published files"] == 1
    assert counts["anchor lines"] == 11


def test_the_same_record_gives_the_same_bytes(home: Path, tmp_path: Path) -> None:
    first, second = _export(home, tmp_path / "1.cabc"), _export(home, tmp_path / "2.cabc")
    assert first.read_bytes() == second.read_bytes()


def test_an_archive_answers_like_the_record(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    with Archive(path) as archive, sample.record(home) as book:
        assert archive.subjects() == book.subjects() == [SUBJECT]
        assert archive.assessments(SUBJECT) == book.assessments(SUBJECT)
        assert list(archive.observations("a2")) == list(book.observations("a2"))
        assert archive.status(SUBJECT) == book.status(SUBJECT)
        assert archive.evidence_body(digest(b'{"ratio":2}')) == b'{"ratio":2}'
        assert archive.document(sample.SPECIFICATION) == b"specification"
        assert archive.pending_collections(SUBJECT) == []


def test_one_subject_alone(home: Path, tmp_path: Path) -> None:
    with sample.record(home) as book:
        body = b"of the other"
        other = sample.subject(name="other")
        book.put_evidence(sample.evidence(body), body)
        book.append([draft(sample.collection("o1", body=body, subject=other))])
    path = _export(home, tmp_path / "a.cabc", SUBJECT)
    assert verify_archive(path) == []
    with Archive(path) as archive:
        assert archive.subjects() == [SUBJECT]
        assert archive.evidence_body(digest(body)) is None
        assert archive.pending_collections("other") == []


def test_an_unknown_subject_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(CabcError, match="knows no subject 'nobody'") as caught:
        _export(home, tmp_path / "a.cabc", "nobody")
    assert caught.value.fix == f"name one of: {SUBJECT}"
    assert not (tmp_path / "a.cabc").exists()


def test_a_file_that_is_there_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.cabc").write_text("precious")
    with pytest.raises(CabcError, match="is there already"):
        _export(home, tmp_path / "a.cabc")
    assert (tmp_path / "a.cabc").read_text() == "precious"


def test_a_tampered_record_is_exported_as_it_is_and_named(home: Path, tmp_path: Path) -> None:
    with sample.record(home) as book, book.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE entries SET at = at + 1 WHERE chain LIKE 'assess:%' AND seq = 3")
    path = _export(home, tmp_path / "a.cabc")
    assert any(f"entries assess:{SUBJECT} 3 assessment a1: changed" in str(fault) for fault in verify_archive(path))


def test_keys_from_elsewhere_are_believed_instead_of_those_inside(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    with sample.record(tmp_path / "stranger") as book:
        sample.run(book)
    stranger = Keys(tmp_path / "stranger" / "keys").public()
    assert any("not known for assess" in str(fault) for fault in verify_archive(path, keys=stranger))
    assert verify_archive(path, keys=Keys(home / "keys").public()) == []


def test_an_archive_is_restored_into_an_empty_home(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    new = tmp_path / "new"
    with sample.record(new) as book:
        restore(path, book, published=new / "published")
        assert [item.id for item in book.assessments(SUBJECT)] == ["a3", "a2", "a1"]
        sample.run(book, 4)  # signed with new keys
        anchors = [new / "anchors"]
        assert verify(book, keys=book.keys, anchors=anchors, published=new / "published") == []
    again = _export(new, tmp_path / "b.cabc")
    assert verify_archive(again) == []


def test_what_only_the_owner_could_read_stays_so(home: Path, tmp_path: Path) -> None:
    secret = home / "published" / SUBJECT / "restricted" / "auditor.html"
    secret.parent.mkdir(mode=0o700)
    secret.write_bytes(b"every value")
    secret.chmod(0o600)
    with sample.record(home) as book:
        files = {"restricted/auditor.html": digest(b"every value"), "report.html": digest(b"<p>conformant</p>")}
        book.append([draft(sample.publication(files, assessment="a3"))])
    path = _export(home, tmp_path / "a.cabc")
    place = tmp_path / "new" / "published"
    with sample.record(tmp_path / "new") as book:
        restore(path, book, published=place)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (place / SUBJECT).rglob("*")}
    assert modes == {"report.html": 0o644, "restricted": 0o700, "auditor.html": 0o600}


def test_restoring_over_a_history_is_refused(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    with sample.record(home) as book, pytest.raises(CabcError, match="not empty"):
        restore(path, book)


def test_an_archive_that_does_not_hold_is_not_restored(home: Path, tmp_path: Path) -> None:
    path = _export(home, tmp_path / "a.cabc")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with sample.record(tmp_path / "new") as book:
        with pytest.raises(ContainerError, match="is not restored"):
            restore(path, book)
        assert book.chains() == []


def _zip(path: Path, members: dict[str, bytes], *, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
    return path


MANIFEST = b'{"format":"cabc-archive/1","members":{}}'


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jsonl",
        "/etc/passwd",
        "published/../../evil",
        "published/a/../../../b",
        "published\\..\\evil",
        "anchors/0/../../evil.jsonl",
        "evidence/..",
        "C:/evil",
        "published/.hidden",
        "published/a\nb",
        "keys/../x.pub",
        "published/\u202etxt.exe",
    ],
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.cabc", {"manifest.json": MANIFEST, name: b"x"})
    with pytest.raises(ContainerError, match="a member that no export writes"):
        Archive(path)
    assert len(verify_archive(path)) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.cabc"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.cabc", {"manifest.json": MANIFEST, "published/x": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(ContainerError, match="a member that no export writes"):
        Archive(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.cabc"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("manifest.json", MANIFEST)
        with archive.open("published/big", "w", force_zip64=True) as stream:
            for _ in range(300):
                stream.write(bytes(2**20))
    data = path.read_bytes()
    assert len(data) < 400_000
    lying = data.replace((300 * 2**20).to_bytes(8, "little"), (2**40).to_bytes(8, "little"))
    lying = lying.replace((300 * 2**20).to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little"))
    (tmp_path / "b.cabc").write_bytes(lying)
    with pytest.raises(ContainerError, match="would unpack to"):
        Archive(tmp_path / "b.cabc")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", MANIFEST)
        archive.writestr("published/a0", bytes(1_000_000))
        for number in range(1, 50):
            info = archive.infolist()[1]
            twin = zipfile.ZipInfo(f"published/a{number}")
            for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(twin, field, getattr(info, field))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    path = tmp_path / "a.cabc"
    path.write_bytes(body.getvalue())
    with pytest.raises(ContainerError, match="more than it can hold"):
        Archive(path)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.cabc"
    path.write_bytes(content)
    with pytest.raises(ContainerError, match="is no archive of cabc"):
        Archive(path)
    [fault] = verify_archive(path)
    assert str(path) in str(fault)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    [fault] = verify_archive(tmp_path / "none.cabc")
    assert "there is no file" in str(fault)
