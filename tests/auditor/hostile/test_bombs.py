"""Answers made to exhaust memory or time: endless bodies, gzip, YAML, JSON, JSONPath, Parquet and regex bombs."""

from __future__ import annotations

import gzip
import io
import json
import resource
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import FileInterface, RestInterface
from cabc.interfaces.base import ExtractError, RetrieveError
from cabc.interfaces.connections import FileConnection, RestConnection
from cabc.interfaces.extraction import extract
from cabc.interfaces.file import FilePlugin
from cabc.interfaces.redaction import redact
from cabc.interfaces.rest import RestPlugin

from tests.support.http_backend import HttpBackend, Reply
from tests.support.retrieval import retrieve, spec

REST = spec(RestInterface, kind="rest", connection="x", path="/")


@contextmanager
def frugal(*, seconds: float = 60.0, megabytes: int = 150) -> Iterator[None]:
    """Fail when the block takes longer, or lets the process grow by more."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - started < seconds
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < megabytes


def fetch(reply: Reply, **keys: Any) -> bytes:
    with HttpBackend({"/": reply}) as server:
        settings = {"kind": "rest", "url": server.url, "network": "loopback", **keys}
        return retrieve(RestPlugin(), REST, RestConnection.model_validate(settings)).body


def read(body: bytes, media_type: str = "application/json", **keys: Any) -> object:
    return extract(spec(RestInterface, kind="rest", connection="x", path="/", **keys), body, media_type)


def test_an_endless_answer_is_cut_off_while_it_comes() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    with frugal(), pytest.raises(RetrieveError, match="larger than 1000000"):
        fetch(Reply(chunks=endless))


def test_a_length_that_lies_changes_nothing() -> None:
    headers = {"Content-Type": "application/json", "X": "y"}
    with pytest.raises(RetrieveError, match="larger"):
        fetch(Reply(b"x" * 2000, headers=headers), max_bytes=1000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_bomb_is_cut_off_while_it_unfolds(encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(500)) + packer.flush()
    assert len(bomb) < 600_000
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with frugal(), pytest.raises(RetrieveError, match="larger"):
        fetch(Reply(bomb, headers=headers))


def test_a_bomb_inside_a_bomb_is_not_opened() -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = gzip.compress(gzip.compress(b"1"))
    with pytest.raises(ExtractError):
        read(fetch(Reply(body, headers=headers)))


def test_billion_laughs_in_yaml() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with frugal(), pytest.raises(ExtractError, match="aliases"):
        read("\n".join(lines).encode(), "application/yaml", pointer="/a11/0")


@pytest.mark.parametrize("body", [b"[" * 900_000, b"{a: " * 200_000, b"- " * 400_000, b"a: &a [*a]", b"<<: [{a: 1}]"])
def test_deep_and_odd_yaml(body: bytes) -> None:
    with frugal(), pytest.raises(ExtractError):
        read(body, "application/yaml", pointer="/a")


def test_wide_yaml_has_a_limit() -> None:
    with frugal(), pytest.raises(ExtractError, match="nodes"):
        read(b"[" + b"1," * 300_000 + b"]", "application/yaml", pointer="/0")


@pytest.mark.parametrize("body", [b"[" * 900_000, b'{"a":' * 150_000, b"[" * 100_000 + b"]" * 100_000])
def test_deep_json(body: bytes) -> None:
    with frugal(), pytest.raises(ExtractError):
        read(body, pointer="/0")


def test_numbers_of_a_million_digits() -> None:
    for media_type in ("application/json", "application/yaml"):
        with frugal(), pytest.raises(ExtractError):
            read(b"[" + b"9" * 900_000 + b"]", media_type, reduce="sum")
    with frugal(), pytest.raises(ExtractError):
        read(b"9" * 900_000, "text/plain", cast="numeric")


@pytest.mark.parametrize(
    "path",
    [
        "$..*..*..*",
        "$[?@[?@[?@.a]]]",
        "$[?count(@..*) > 1]",
        "$[?count($..*) > 1]",
        "$[?$[?@.a == 1]]",
        "$[?@[*]]",
        "$" + "[?@" * 5000,
        "$" + "[0]" * 100_000,
        "$" + "(" * 50_000,
        "$[?" + "!" * 50_000 + "@.a]",
        "$[?" + "(" * 20_000 + "@.a",
    ],
)
def test_a_jsonpath_cannot_multiply(path: str) -> None:
    document = json.dumps([{"a": list(range(100))} for _ in range(1500)]).encode()
    with frugal(), pytest.raises(ExtractError):
        read(document, jsonpath=path, reduce="first")


def test_the_widest_jsonpath_that_is_allowed_is_quick() -> None:
    document = json.dumps([{"a": list(range(100))} for _ in range(1500)]).encode()
    with frugal():
        assert read(document, jsonpath="$..*", reduce="count") == 1500 * 102


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(.*)*x"])
def test_a_pattern_that_would_backtrack_for_ever(pattern: str) -> None:
    text = b"a" * 100_000 + b"!"
    with frugal():
        for keys in ({"regex": f"({pattern})".replace("(", "(?:").replace("(?:", "(", 1)},):
            try:
                read(text, "text/plain", **keys)
            except ExtractError:
                continue
        read(json.dumps([{"a": "a" * 50_000}]).encode(), jsonpath=f"$[?search(@.a, '{pattern}')]", reduce="count")
        redact(text, [pattern])


def test_a_pattern_that_would_need_gigabytes() -> None:
    with frugal(), pytest.raises(ExtractError):
        read(b"a", "text/plain", regex="((((a{1,1000}){1,1000}){1,1000}){1,1000})")


def parquet(folder: Path, column: object) -> FileConnection:
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = io.BytesIO()
    pq.write_table(pa.table({"v": column}), table, compression="zstd", use_dictionary=True)
    (folder / "bomb.parquet").write_bytes(table.getvalue())
    assert len(table.getvalue()) < 1_000_000
    return FileConnection.model_validate({"kind": "file", "root": str(folder)})


COLUMN = spec(FileInterface, kind="file", connection="x", path="bomb.parquet", column="v", reduce="count")


def test_a_parquet_file_of_a_few_bytes_and_many_rows(tmp_path: Path) -> None:
    import pyarrow as pa

    bomb = parquet(tmp_path, pa.concat_arrays([pa.array([0] * 1_000_000, type=pa.int8())] * 20))
    with frugal(megabytes=300), pytest.raises(RetrieveError, match="too much"):
        retrieve(FilePlugin(), COLUMN, bomb)


def test_a_parquet_dictionary_that_repeats_one_long_text(tmp_path: Path) -> None:
    import pyarrow as pa

    word = pa.array(["x" * 1_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, type=pa.int32()), word)
    bomb = parquet(tmp_path, column)
    with frugal(megabytes=500), pytest.raises(RetrieveError):
        retrieve(FilePlugin(), COLUMN, bomb)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"PK\x03\x04" * 10])
def test_what_is_no_parquet(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "bomb.parquet").write_bytes(body)
    with pytest.raises(RetrieveError, match="Parquet"):
        retrieve(FilePlugin(), COLUMN, FileConnection.model_validate({"kind": "file", "root": str(tmp_path)}))


@pytest.mark.parametrize(
    "body", [b'v\n"' + b"x" * 400_000, b"v\n" + b"1\n" * 400_000, b"v\n1,2\n", b"v,v\n1,2\n", b"\xff\n"]
)
def test_csv_that_is_none_or_too_much(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "bomb.csv").write_bytes(body)
    question = spec(FileInterface, kind="file", connection="x", path="bomb.csv", column="v", reduce="count")
    with frugal(), pytest.raises(RetrieveError):
        retrieve(FilePlugin(), question, FileConnection.model_validate({"kind": "file", "root": str(tmp_path)}))
