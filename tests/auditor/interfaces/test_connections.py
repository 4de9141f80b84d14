"""The operator's file: every mistake at its place, credentials by reference only."""

from __future__ import annotations

from pathlib import Path

import pytest
from cabc.document.problems import ProblemsError
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.connections import (
    CommandConnection,
    FileConnection,
    HttpConnection,
    MlflowConnection,
    RestConnection,
    SqlConnection,
    load_connections,
    reveal,
)
from cabc.loading.connections import connections_page

FILE = """\
connections:
  scanner:
    kind: rest
    url: https://scanner.example/api/
    auth: {type: bearer, token: "file:secrets/token"}
    paths: [/v1]
    redact: ['customer-\\d+']
  mlflow: {kind: mlflow, url: "http://127.0.0.1:5000", network: loopback}
  docs: {kind: file, root: docs}
  near: {kind: sql, url: "sqlite:///features.db"}
  far: {kind: sql, url: "sqlite:////srv/features.db"}
  jobs: {kind: command, commands: {check: {argv: [/bin/true]}}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "connections.yaml"
    path.write_text(text)
    return path


def test_connections_are_read_and_paths_count_from_the_file(tmp_path: Path) -> None:
    found = load_connections(write(tmp_path, FILE))
    scanner, docs = found["scanner"], found["docs"]
    assert isinstance(scanner, RestConnection)
    assert scanner.url == "https://scanner.example/api"
    assert scanner.auth is not None
    assert scanner.auth.model_dump()["token"] == f"file:{tmp_path / 'secrets/token'}"
    assert isinstance(docs, FileConnection)
    assert docs.root == str(tmp_path / "docs")
    assert isinstance(found["mlflow"], MlflowConnection)
    addresses = [connection.url for connection in found.values() if isinstance(connection, SqlConnection)]
    assert addresses == [f"sqlite:///{tmp_path / 'features.db'}", "sqlite:////srv/features.db"]


def test_no_file_means_no_connections(tmp_path: Path) -> None:
    assert load_connections(tmp_path / "connections.yaml") == {}


def test_commands_are_off_unless_the_settings_say_so(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    off, on = load_connections(path)["jobs"], load_connections(path, commands=True)["jobs"]
    assert isinstance(off, CommandConnection)
    assert isinstance(on, CommandConnection)
    assert (off.enabled, on.enabled) == (False, True)


def test_a_file_cannot_turn_commands_on(tmp_path: Path) -> None:
    text = "connections: {jobs: {kind: command, enabled: true, commands: {}}}"
    with pytest.raises(ProblemsError, match="enabled"):
        load_connections(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("connections:\n  a: {kind: rest}\n", "2:3"),
        ("connections:\n  a:\n    kind: rest\n    url: ftp://x\n", "4:10"),
        ("connections:\n  a:\n    kind: rest\n    url: https://u:p@x\n", "4:10"),
        ("connections:\n  a:\n    kind: rest\n    url: https://x/?q=1\n", "4:10"),
        ("connections:\n  a:\n    kind: sql\n    url: postgresql://u:p@h/d\n", "4:10"),
        ("connections:\n  a:\n    kind: nothing\n    url: https://x\n", "3:11"),
        ("connections:\n  a:\n    kind: file\n    root: x\n    redact: ['(']\n", "5:14"),
        ("connections:\n  a:\n    kind: rest\n    url: https://x\n    auth: {type: bearer, token: s3cret}\n", "5:11"),
    ],
)
def test_a_mistake_has_its_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ProblemsError) as raised:
        load_connections(write(tmp_path, text))
    assert f"connections.yaml:{place}" in str(raised.value)


def test_a_credential_over_plain_http_needs_an_inner_network(tmp_path: Path) -> None:
    text = "connections: {a: {kind: rest, url: 'http://x', auth: {type: bearer, token: 'env:TOKEN'}}}"
    with pytest.raises(ProblemsError, match="plain HTTP"):
        load_connections(write(tmp_path, text))


def test_a_credential_written_into_the_file_is_not_repeated_by_the_error(tmp_path: Path) -> None:
    text = "connections: {a: {kind: rest, url: 'https://x', auth: {type: bearer, token: hunter2}}}"
    with pytest.raises(ProblemsError) as raised:
        load_connections(write(tmp_path, text))
    assert "hunter2" not in str(raised.value)


def test_a_reference_gives_the_credential_or_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    monkeypatch.setenv("CABC_TEST_TOKEN", "other")
    assert reveal(f"file:{tmp_path / 'token'}") == "s3cret"
    assert reveal("env:CABC_TEST_TOKEN") == "other"
    for missing in ("env:CABC_TEST_NOTHING", f"file:{tmp_path / 'nothing'}"):
        with pytest.raises(RetrieveError, match="not there"):
            reveal(missing)


def test_the_reference_page_is_current_and_explains_every_key() -> None:
    page = connections_page()
    assert (Path(__file__).parents[3] / "docs/reference/connections.md").read_text() == page, "run: make docs"
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| `")]
    assert [row[0] for row in rows if not row[-1].strip(" |") and row[0] not in ("| `kind`", "| `type`")] == []


def test_public_hosts_are_the_default() -> None:
    assert HttpConnection(kind="rest", url="https://x").network == "public"
