"""`file`: JSON, YAML, text, CSV and Parquet below a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import FileInterface
from cabc.interfaces.base import ExtractError, RetrieveError, Value
from cabc.interfaces.connections import FileConnection
from cabc.interfaces.file import COLUMN, FilePlugin

from tests.support.retrieval import retrieve, spec, value

CSV = 'id,score,note\n1,0.5,"a, b"\n2,0.75,\n3,1.0,c\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with one file of each kind."""
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "card.json").write_text('{"reviewed": true, "auc": 0.9, "text": "0.9"}')
    (tmp_path / "card.yaml").write_text("reviewed: true\nauc: 0.9\nanswer: no\n")
    (tmp_path / "use-3.md").write_text("# Use\nmodel version: v3\nKnown limitations: some\n")
    (tmp_path / "data.csv").write_text(CSV)
    table = pa.table(
        {
            "score": pa.array([0.5, None, 1.0]),
            "good": pa.array([0.5, 0.75, 1.0]),
            "n": pa.array([1, 2, 3]),
            "word": pa.array(["a", "b", "a"]),
            "bad": pa.array([1.0, float("nan"), 2.0]),
            "nested": pa.array([[1], [2], [3]]),
        }
    )
    parquet.write_table(table, tmp_path / "data.parquet")
    return tmp_path


def ask(path: str, **keys: Any) -> FileInterface:
    asked: FileInterface = spec(FileInterface, kind="file", connection="docs", path=path, **keys)
    return asked


def read(root: Path, path: str, **keys: Any) -> Value:
    return value(FilePlugin(), ask(path, **keys), spec(FileConnection, kind="file", root=str(root)))


def test_each_format_by_its_suffix(root: Path) -> None:
    assert read(root, "card.json", pointer="/reviewed") is True
    assert read(root, "card.yaml", pointer="/auc") == 0.9
    assert read(root, "card.yaml", pointer="/answer") == "no"
    assert read(root, "use-${subject.version}.md", regex=r"model version: (\S+)") == "v3"
    assert "Known limitations" in str(read(root, "use-3.md"))
    assert read(root, "card.json", format="text", regex=r'"auc": ([0-9.]+)', cast="numeric") == 0.9


def test_cells_of_a_csv_are_text_until_cast(root: Path) -> None:
    assert read(root, "data.csv", column="score", reduce="mean", cast="numeric") == 0.75
    assert read(root, "data.csv", column="score", reduce="first") == "0.5"
    assert read(root, "data.csv", column="note", reduce="count") == 3
    with pytest.raises(ExtractError, match="cast"):
        read(root, "data.csv", column="score", reduce="mean")
    with pytest.raises(ExtractError, match="3 values"):
        read(root, "data.csv", column="score")


def test_cells_of_parquet_have_types(root: Path) -> None:
    assert read(root, "data.parquet", column="good", reduce="mean") == 0.75
    assert read(root, "data.parquet", column="n", reduce="sum") == 6
    assert read(root, "data.parquet", column="word", reduce="last") == "a"
    for column, why in (("score", "null"), ("bad", "nan")):
        with pytest.raises(ExtractError, match=why):
            read(root, "data.parquet", column=column, reduce="mean")
    with pytest.raises(RetrieveError, match="no plain column"):
        read(root, "data.parquet", column="nested", reduce="count")


def test_only_the_column_is_kept_as_evidence(root: Path) -> None:
    connection = spec(FileConnection, kind="file", root=str(root))
    answer = retrieve(FilePlugin(), ask("data.csv", column="score"), connection)
    assert answer.media_type == COLUMN
    assert json.loads(answer.body) == {"column": "score", "values": ["0.5", "0.75", "1.0"]}
    assert answer.details == {"sha256": hashlib.sha256(CSV.encode()).hexdigest(), "rows": "3"}
    assert answer.origin == "file data.csv of connection docs"


def test_a_wrong_column_names_the_right_ones(root: Path) -> None:
    for path in ("data.csv", "data.parquet"):
        with pytest.raises(RetrieveError, match="score"):
            read(root, path, column="nothing", reduce="count")
        with pytest.raises(RetrieveError, match="column"):
            read(root, path)
    with pytest.raises(RetrieveError, match="CSV or Parquet"):
        read(root, "card.json", column="x")


def test_a_csv_with_one_row_is_a_value(root: Path) -> None:
    (root / "one.csv").write_text("share\n0.25\n\n")
    assert read(root, "one.csv", column="share", cast="numeric") == 0.25
    (root / "none.csv").write_text("share\n")
    with pytest.raises(ExtractError, match="nothing"):
        read(root, "none.csv", column="share")
