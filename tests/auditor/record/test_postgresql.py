"""The record on a real PostgreSQL: the same behaviour, many writers at once, and roles that cannot rewrite history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from cabc.errors import CabcError
from cabc.record.canonical import digest
from cabc.record.chain import GENESIS, draft
from cabc.record.database import DatabaseRecord, RecordRole, open_record
from cabc.record.keys import Keys
from cabc.record.roles import grant_roles
from cabc.record.verify import verify

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT
from tests.support.postgresql import PostgreSQL


def test_what_is_recorded_is_read_back(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.url(postgresql.new_database())
    with sample.record(tmp_path, url=url) as book:
        sample.run(book, 1)
        sample.run(book, 2)
    with sample.record(tmp_path, url=url) as book:
        assert [item.id for item in book.assessments(SUBJECT)] == ["a2", "a1"]
        assert book.pending_collections(SUBJECT) == []
        assert book.triggers(SUBJECT) == []
        assert book.subjects() == [SUBJECT]
        assert [entry.seq for entry in book.entries(f"assess:{SUBJECT}")] == list(range(1, 9))


def test_64_write_at_once_and_the_chain_holds(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """Through two connections: whoever finds none free waits."""
    url = postgresql.url(postgresql.new_database())
    with open_record(url, keys=tmp_path / "keys", anchors=[tmp_path / "anchors"], connections=2) as book:
        with ThreadPoolExecutor(64) as pool:
            jobs = [
                pool.submit(book.append, [draft(sample.waiver(f"w{job}-{number}"))])
                for job in range(64)
                for number in range(5)
            ]
            for job in jobs:
                job.result()
        entries = list(book.entries(f"assess:{SUBJECT}"))
        assert len(entries) == 320
        assert [entry.seq for entry in entries] == list(range(1, 321))
        assert [entry.previous for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]
        assert len(book.waivers(SUBJECT)) == 320


@pytest.fixture(scope="module")
def shared(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Give a database with one run and a member of each role, and the folder of keys and anchors."""
    folder = tmp_path_factory.mktemp("shared")
    database = postgresql.new_database()
    with sample.record(folder, url=postgresql.url(database)) as book:
        sample.run(book)
    grant_roles(postgresql.url(database))
    grant_roles(postgresql.url(database))  # again, as after an upgrade
    for role in ("collect", "assess", "publish", "read"):
        postgresql.execute(
            f"""DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'user_{role}') THEN
                    CREATE ROLE user_{role} LOGIN IN ROLE cabc_{role};
                END IF; END $$"""
        )
    return database, folder


def test_three_processes_with_three_roles_do_the_whole_work(postgresql: PostgreSQL, shared: tuple[str, Path]) -> None:
    database, folder = shared
    keys, anchors = Keys(folder / "keys"), [folder / "anchors"]

    def open_as(role: RecordRole) -> DatabaseRecord:
        return open_record(postgresql.url(database, user=f"user_{role}"), keys=keys, anchors=anchors, role=role)

    body = b"seven"
    with open_as("collect") as book, book.lease(SUBJECT, "collect"):
        book.append([draft(sample.trigger("t7"))])
        book.put_evidence(sample.evidence(body), body)
        book.put_document(SUBJECT, b"another specification", "spec.yaml")
        book.append([draft(sample.collection("c7", body=body, trigger=sample.trigger("t7")))])
    with open_as("assess") as book, book.lease(SUBJECT, "assess"):
        assert [item.id for item in book.pending_collections(SUBJECT)] == ["c7"]
        observation = sample.observation(assessment="a7", evidence=[digest(body)])
        book.append([draft(observation, subject=SUBJECT), draft(sample.assessment("a7", collection="c7"))])
        assert book.pending_collections(SUBJECT) == []
    with open_as("publish") as book, book.lease(SUBJECT, "publish"):
        book.append([draft(sample.publication())])
    with open_as("read") as book:
        assert [item.id for item in book.assessments(SUBJECT)] == ["a7", "a1"]
        assert verify(book, keys=keys, anchors=anchors) == []


_ENTRY = "INSERT INTO entries VALUES ('{chain}', 99, '{kind}', 'k', NULL, 0, 'd', {body}, 'p', 'h')"
_HEAD = "INSERT INTO heads VALUES ('{chain}', 99, 'h', 0, 'k', 's')"
_MINE = {"collect": "trigger", "assess": "waiver", "publish": "publication"}
FORBIDDEN = [
    *(
        (role, statement)
        for role in ("collect", "assess", "publish", "read")
        for statement in (
            "UPDATE entries SET body = NULL",
            "DELETE FROM entries",
            "TRUNCATE entries",
            "UPDATE heads SET signature = 'x'",
            "DELETE FROM heads",
            "TRUNCATE heads",
            "UPDATE evidence SET body = ''",
            "DELETE FROM evidence",
            "TRUNCATE evidence",
            "UPDATE pending SET kind = 'x'",
            "UPDATE alembic_version SET version_num = '0'",
            "DROP TABLE entries",
            "ALTER TABLE entries DISABLE ROW LEVEL SECURITY",
            "DROP POLICY cabc_read ON entries",
            "CREATE TRIGGER t BEFORE INSERT ON entries EXECUTE FUNCTION f()",
            _ENTRY.format(chain="system", kind="retention", body="'b'"),
            _HEAD.format(chain="system"),
        )
    ),
    *(
        (role, _ENTRY.format(chain=f"{other}:{SUBJECT}", kind=_MINE[other], body="'b'"))
        for role in (*_MINE, "read")
        for other in _MINE
        if role != other
    ),
    *(
        (role, _HEAD.format(chain=f"{other}:{SUBJECT}"))
        for role in (*_MINE, "read")
        for other in _MINE
        if role != other
    ),
    *((role, _ENTRY.format(chain=f"{role}:{SUBJECT}", kind="retention", body="'b'")) for role in _MINE),
    *((role, _ENTRY.format(chain=f"{role}:{SUBJECT}", kind=_MINE[role], body="NULL")) for role in _MINE),
    *((role, "INSERT INTO evidence VALUES ('sha256:00', 'other bytes')") for role in ("collect", "assess")),
    *((role, "INSERT INTO evidence VALUES ('sha256:00', '')") for role in ("publish", "read")),
    *((role, "DELETE FROM pending") for role in ("publish", "read")),
    *((role, "INSERT INTO pending VALUES ('collect:x', 1, 'trigger')") for role in ("assess", "publish", "read")),
    ("collect", "INSERT INTO pending VALUES ('assess:x', 1, 'trigger')"),
    ("read", "INSERT INTO leases VALUES ('s', 'p', 'h', 0)"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
def test_what_a_role_must_not_do_it_cannot(
    postgresql: PostgreSQL, shared: tuple[str, Path], role: str, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgresql.execute(statement, database=shared[0], user=f"user_{role}")


def test_a_role_removes_from_the_waiting_list_only_what_it_answers(
    postgresql: PostgreSQL, shared: tuple[str, Path]
) -> None:
    database, folder = shared
    with sample.record(folder, url=postgresql.url(database)) as book:
        book.append([draft(sample.collection("c8")), draft(sample.trigger("t8"))])
        postgresql.execute("DELETE FROM pending", database=database, user="user_assess")
        assert [item.id for item in book.triggers(SUBJECT)] == ["t8"]
        assert book.pending_collections(SUBJECT) == []
        [fault] = [str(fault) for fault in verify(book, keys=book.keys) if fault.where.startswith("pending")]
        assert "is not listed as waiting" in fault


@pytest.mark.usefixtures("shared")
def test_only_the_owner_makes_tables(postgresql: PostgreSQL, tmp_path: Path) -> None:
    empty = postgresql.new_database()
    with pytest.raises(CabcError, match="tables of revision none") as caught:
        open_record(postgresql.url(empty, user="user_collect"), keys=tmp_path, role="collect")
    assert caught.value.fix == "run cabc migrate as the owner of the database"


def test_sqlite_has_no_roles(tmp_path: Path) -> None:
    with pytest.raises(CabcError, match="only PostgreSQL has roles"):
        grant_roles(f"sqlite:///{tmp_path / 'r.db'}")
