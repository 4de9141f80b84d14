"""The record on the command line: exit codes, one line per fault, nothing that a terminal would obey."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import typer
from cabc.cli import database, export, verify
from cabc.errors import CabcError
from typer.testing import CliRunner

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT


@pytest.fixture
def home(three_runs: Path, tmp_path: Path) -> Path:
    """Give a home with three runs."""
    shutil.copytree(three_runs, tmp_path / "home")
    return tmp_path / "home"


def _cabc(*words: str | Path) -> tuple[int, str]:
    app = typer.Typer()
    for module in (verify, export, database):
        module.register(app)
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=True)
    if isinstance(result.exception, CabcError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_record_that_holds(home: Path) -> None:
    code, output = _cabc("verify", "--home", home, "--no-recompute")
    assert code == 0, output
    assert output.startswith("✔ the record holds: 11 anchor lines, ")
    assert "20 entries" in output


def test_a_record_that_does_not(home: Path) -> None:
    connection = sqlite3.connect(home / "record.db")
    connection.execute("UPDATE entries SET at = at + 1 WHERE chain LIKE 'assess:%' AND seq = 3")
    connection.commit()
    connection.close()
    code, output = _cabc("verify", "--home", home)
    assert code == 1
    assert output.splitlines()[0] == f"✖ entries assess:{SUBJECT} 3 assessment a1: changed: its hash does not fit"
    assert output.splitlines()[-1].startswith("2 faults; looked at ")


def test_json_for_programs(home: Path) -> None:
    (home / "published" / SUBJECT / "report.html").write_bytes(b"better")
    code, output = _cabc("verify", "--home", home, "--json")
    found = json.loads(output)
    assert code == 1
    assert not found["holds"]
    assert found["checked"]["chains"] == 3
    [fault] = found["faults"]
    assert fault["where"] == str(home / "published" / SUBJECT / "report.html")
    assert fault["what"].startswith("is not what was published")


def test_text_of_others_cannot_steer_the_terminal(home: Path) -> None:
    connection = sqlite3.connect(home / "record.db")
    connection.execute(
        "UPDATE entries SET key = ? WHERE chain LIKE 'assess:%' AND seq = 3", ("\x1b[2J\u202eevil\nall is well",)
    )
    connection.commit()
    connection.close()
    code, output = _cabc("verify", "--home", home)
    assert code == 1
    assert not {"\x1b", "\u202e"} & set(output)
    assert len([line for line in output.splitlines() if not line.startswith("✖")]) == 1


def test_an_archive_is_verified_without_a_home_and_its_keys_are_shown(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.cabc"
    assert _cabc("export", path, "--home", home, "--subject", SUBJECT)[0] == 0
    keys = tmp_path / "keys"
    keys.mkdir()
    for file in (home / "keys").glob("*.pub"):
        shutil.copy(file, keys)
    shutil.rmtree(home)
    code, output = _cabc("verify", "--archive", path, "--no-recompute")
    assert code == 0, output
    assert "The keys are the archive's own" in output
    assert output.count("sha256:") == 3
    code, output = _cabc("verify", "--archive", path, "--keys", keys, "--no-recompute")
    assert (code, "archive's own" in output) == (0, False)


def test_one_byte_of_an_archive(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.cabc"
    _cabc("export", path, "--home", home)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    code, output = _cabc("verify", "--archive", path, "--no-recompute")
    assert code == 1
    assert str(path) in output


def test_restored_it_holds_again(home: Path, tmp_path: Path) -> None:
    path, new = tmp_path / "a.cabc", tmp_path / "new"
    _cabc("export", path, "--home", home)
    code, output = _cabc("restore", path, "--home", new)
    assert code == 0, output
    assert _cabc("verify", "--home", new, "--no-recompute")[0] == 0
    code, output = _cabc("restore", path, "--home", new)
    assert (code, output) == (2, "the record is not empty")


def test_a_backup_while_it_is_in_use(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with sample.record(home) as book:
        sample.run(book, 4)
        assert _cabc("backup", copy, "--home", home)[0] == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    for file in home.glob("record.db*"):
        file.unlink()
    shutil.copy(copy, home / "record.db")
    assert _cabc("verify", "--home", home, "--no-recompute")[0] == 0
    assert _cabc("backup", copy, "--home", home) == (2, f"{copy} is there already")


def test_retention_by_the_settings(home: Path) -> None:
    assert _cabc("retain", "--home", home)[1].endswith("nothing is older than the settings keep\n")
    (home / "cabc.yaml").write_text("retention: {evidence: PT1S, observations: PT1S}\n")
    code, output = _cabc("retain", "--home", home, "--dry-run")
    assert code == 0, output
    assert output.startswith("would drop ")


def test_migrate_and_roles(tmp_path: Path) -> None:
    code, output = _cabc("migrate", "--home", tmp_path)
    assert (code, output) == (0, "the tables have revision 0001\n")
    code, output = _cabc("roles", "--show")
    assert code == 0
    assert "ENABLE ROW LEVEL SECURITY" in output
    assert _cabc("roles", "--home", tmp_path) == (2, "only PostgreSQL has roles")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, so that no `.cabc` is found."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("CABC_HOME", raising=False)


def test_no_record_is_said_in_one_line() -> None:
    code, output = _cabc("verify")
    assert code == 2
    assert output.startswith("there is no record at ")
