"""Export: one file to check offline, with what the record says, its evidence, public keys, anchors and reports."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table, insert, text

from cabc.document.base import Model
from cabc.errors import CabcError
from cabc.record import schema
from cabc.record.anchors import anchor_files
from cabc.record.canonical import canonical_model
from cabc.record.chain import KINDS, subject_of
from cabc.record.checks.chains import named_digests
from cabc.record.checks.faults import Fault, Findings
from cabc.record.container import UNREADABLE, Container, ContainerError, Writer
from cabc.record.database import DatabaseRecord
from cabc.record.engines import connect, resolve_url, writing
from cabc.record.keys import ROLES, Keys, PublicKey
from cabc.record.published import settled
from cabc.record.reading import Reader
from cabc.record.types import Entry, Head, Publication
from cabc.record.verify import Recompute, verify
from cabc.record.waiting import Waiting

__all__ = ["Archive", "export", "restore", "verify_archive"]

M = TypeVar("M", bound=Model)

_TRIES = 20
"""How often an export begins again because the subject was published while its entries were read."""

_ROWS = 500
_MAX_LINE = 256 * 2**20


def export(
    record: Reader,
    subject: str | None,
    path: Path,
    *,
    keys: Keys,
    anchors: Sequence[Path] = (),
    published: Path | None = None,
) -> None:
    """Write an archive of one subject or of all; the same record gives the same bytes.

    `system` comes with every archive: it says what retention dropped.
    """
    chains = [chain for chain in record.chains() if subject in {None, subject_of(chain)} or chain == "system"]
    if subject is not None and subject not in map(subject_of, chains):
        msg = f"the record knows no subject {subject!r}"
        raise CabcError(msg, fix=f"name one of: {', '.join(record.subjects()) or 'none yet'}")
    if path.exists():
        msg = f"{path} is there already"
        raise CabcError(msg, fix="name another file")
    for last in (*[False] * _TRIES, True):
        writer = Writer(path, keys)
        try:
            if _Export(record, writer).write(chains, keys, anchors, published) or last:
                writer.finish({"subject": subject})
                return
        except BaseException:
            _discard(writer, path)
            raise
        _discard(writer, path)  # something was published meanwhile: the files are younger than the entries


def _discard(writer: Writer, path: Path) -> None:
    writer.abandon()
    path.unlink(missing_ok=True)


class _Export:
    """Writes the members of an archive; what entries name is gathered while they are written."""

    def __init__(self, record: Reader, writer: Writer) -> None:
        self._record = record
        self._writer = writer
        self._blobs: set[str] = set()
        self._publications: dict[str, Publication] = {}
        self._ends: dict[str, int] = {}

    def write(self, chains: Sequence[str], keys: Keys, anchors: Sequence[Path], published: Path | None) -> bool:
        """Write everything; say whether the published files are those that the entries name last."""
        for chain in chains:
            self._writer.add(f"entries/{chain.replace(':', '.')}.jsonl", self._lines(chain))
        heads = (head for chain in chains for head in self._record.heads(chain) if head.seq <= self._ends[chain])
        self._writer.add("heads.jsonl", (canonical_model(head).encode() + b"\n" for head in heads))
        for name in sorted(self._blobs):
            if (body := self._record.evidence_body(name)) is not None:
                self._writer.add(f"evidence/{name.removeprefix('sha256:')}", iter([body]))
        keys.id_of("assess")  # makes the key that signs the archive, if there is none
        for key in sorted(keys.public().values(), key=lambda key: key.id):
            self._writer.add(f"keys/{key.role}-{key.id.removeprefix('sha256:')[:16]}.pub", iter([key.pem]))
        for number, anchor in enumerate(anchors):
            self._anchor(number, anchor)
        if published is None:
            return True
        told = {subject: self._published(published, each) for subject, each in sorted(self._publications.items())}
        return all(told.values())

    def _lines(self, chain: str) -> Iterator[bytes]:
        self._ends[chain] = 0
        for entry in self._record.entries(chain):
            if (body := _body(entry)) is not None:
                self._blobs.update(named_digests(body))
                if isinstance(body, Publication):
                    self._publications[body.subject] = body
            self._ends[chain] = entry.seq
            yield canonical_model(entry).encode() + b"\n"

    def _anchor(self, number: int, anchor: Path) -> None:
        for file in anchor_files(anchor):
            name = f"anchors/{number}.jsonl" if file == anchor else f"anchors/{number}/{file.name}"
            if kept := [line for line in file.read_bytes().splitlines(keepends=True) if self._concerns(line)]:
                self._writer.add(name, iter(kept))

    def _concerns(self, line: bytes) -> bool:
        """Tell whether an anchor's line is about what is exported; what is no head is left to the check."""
        try:
            head = Head.model_validate_json(line)
        except ValueError:
            return True
        return head.seq <= self._ends.get(head.chain, 0)

    def _published(self, folder: Path, publication: Publication) -> bool:
        last, files = settled(self._record, folder, publication)
        for name, body in files.items():
            if isinstance(body, bytes):
                private = _is_private(folder / last.subject / name)
                self._writer.add(f"published/{last.subject}/{name}", iter([body]), private=private)
        return last == publication


def _is_private(file: Path) -> bool:
    try:
        return not file.stat().st_mode & 0o044
    except OSError:  # replaced or removed since it was read
        return True


def _body(entry: Entry) -> Model | None:
    return KINDS[entry.kind][0].model_validate_json(entry.body) if entry.body and entry.kind in KINDS else None


class Archive(Reader):
    """An archive, opened: everything that a record can be asked, from the file alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = tempfile.TemporaryDirectory(prefix="cabc-")
        self.folder = Path(self._folder.name)
        super().__init__(connect(resolve_url(f"sqlite:///{self.folder / 'record.db'}")))
        try:
            with Container(path) as container:
                self.keys = _embedded_keys(container)
                self._load(container)
                self.published = self._unpack(container, "published/")
                self._unpack(container, "anchors/")
        except UNREADABLE as error:
            self.close()
            msg = f"{path} cannot be read: {str(error).splitlines()[0]}"
            raise ContainerError(msg) from None
        except BaseException:
            self.close()
            raise
        self.anchors = sorted((self.folder / "anchors").glob("*")) if (self.folder / "anchors").exists() else []

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    def _load(self, container: Container) -> None:
        waiting = Waiting()
        with writing(self.engine) as connection:
            schema.metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:now)"), {"now": schema.REVISION})
            for name in container.names("entries/"):
                entries = _models(container, name, Entry)
                _fill(connection, schema.entries, map(schema.entry_row, _seen(entries, waiting)))
            _fill(connection, schema.heads, map(schema.head_row, _models(container, "heads.jsonl", Head)))
            blobs = ((_name(name), container.read(name)) for name in container.names("evidence/"))
            _fill(connection, schema.evidence, ({"digest": name, "body": body} for name, body in blobs))
            _fill(connection, schema.pending, map(_pending_row, sorted(waiting.rows())))

    def _unpack(self, container: Container, prefix: str) -> Path:
        """Write the members below a prefix into the temporary folder; the container allowed their names."""
        for name in container.names(prefix):
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with container.open(name) as source, file.open("xb") as target:
                while chunk := source.read(2**20):
                    target.write(chunk)
            file.chmod(0o600 if container.private(name) else 0o644)
        return self.folder / prefix.rstrip("/")


def _pending_row(left: tuple[str, int, str]) -> dict[str, object]:
    chain, seq, kind = left
    return {"chain": chain, "seq": seq, "kind": kind}


def _name(member: str) -> str:
    return f"sha256:{member.removeprefix('evidence/')}"


def _seen(entries: Iterable[Entry], waiting: Waiting) -> Iterator[Entry]:
    for entry in entries:
        if (body := _body(entry)) is not None:
            waiting.see(entry.chain, entry.seq, body)
        yield entry


def _models(container: Container, name: str, type_: type[M]) -> Iterator[M]:
    with container.open(name) as stream:
        while line := stream.readline(_MAX_LINE):
            yield type_.model_validate_json(line)


def _fill(connection: Connection, table: Table, rows: Iterable[dict[str, object]]) -> None:
    batch: list[dict[str, object]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def _embedded_keys(container: Container) -> dict[str, PublicKey]:
    found = {}
    for name in container.names("keys/"):
        role = next((role for role in ROLES if name.startswith(f"keys/{role}")), None)
        if role is None:
            msg = f"{container.path}!{name} is a key for no role"
            raise ContainerError(msg)
        key = PublicKey.parse(container.read(name), role, f"{container.path}!{name}")
        found[key.id] = key
    return found


def verify_archive(
    path: Path,
    *,
    keys: Mapping[str, PublicKey] | None = None,
    recompute: Callable[[Reader], Recompute] | None = None,
    counts: Counter[str] | None = None,
) -> list[Fault]:
    """Return every fault of an archive, from the file alone.

    Without `keys` those inside are believed: then it shows that nothing was changed since somebody who holds them
    exported it, and not who that is.
    """
    findings = Findings(counts=Counter() if counts is None else counts)
    try:
        with Container(path) as container:
            known = _embedded_keys(container) if keys is None else keys
            container.check_signature(known, findings)
            container.check_members(findings)
        with Archive(path) as archive:
            again = recompute(archive) if recompute else None
            findings.faults += verify(
                archive,
                keys=known,
                anchors=archive.anchors,
                published=archive.published,
                recompute=again,
                counts=findings.counts,
            )
    except CabcError as error:
        findings.add(str(path), str(error))
    except UNREADABLE as error:
        findings.add(str(path), f"cannot be read: {str(error).splitlines()[0]}")
    return findings.faults


def restore(path: Path, record: DatabaseRecord, *, published: Path | None = None) -> None:
    """Bring an archive that holds into an empty record; its public keys and published files come too."""
    if faults := verify_archive(path):
        msg = f"{path} does not hold, so it is not restored: {faults[0]}"
        raise ContainerError(msg, fix="cabc verify --archive names every fault")
    if record.chains():
        raise CabcError("the record is not empty", fix="restore into a new home; two histories cannot be merged")
    with Archive(path) as archive:
        for key in archive.keys.values():
            record.keys.add_public(key)
        with archive.engine.connect() as source, writing(record.engine) as target:
            for table in (schema.entries, schema.heads, schema.evidence, schema.pending):
                rows = source.execution_options(yield_per=_ROWS).execute(table.select())
                _fill(target, table, (dict(row._mapping) for row in rows))  # noqa: SLF001 (SQLAlchemy's public name)
        if published is not None and archive.published.exists():
            _copy(archive.published, published)
    record.catch_up()


def _copy(source: Path, target: Path) -> None:
    for file in sorted(source.rglob("*")):
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            private = not file.stat().st_mode & 0o044
            if private:
                place.parent.chmod(0o700)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(file.read_bytes())
