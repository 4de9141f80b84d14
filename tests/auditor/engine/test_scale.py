"""The engine's own cost grows with the number of measurements and no faster."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from pathlib import Path

from cabc.record.types import Status

from tests.support.cabc_engine import Backend, auditor, document, leaf, record, requirement, trigger

PER_REQUIREMENT = 50


def seconds(folder: Path, leaves: int) -> float:
    """Return processor time of one whole cycle over so many measurements."""
    folder.mkdir()
    backend = Backend({f"/l{n}": n + 1 for n in range(leaves)})
    spec = document(
        *(
            requirement(f"r{first}", *(leaf(f"l{n}") for n in range(first, first + PER_REQUIREMENT)))
            for first in range(0, leaves, PER_REQUIREMENT)
        )
    )
    with record(folder) as book:
        engine = auditor(folder, book, backend, limits={"max_concurrent": 32})
        started = time.process_time()
        result = asyncio.run(engine.run(spec, trigger(lambda: dt.datetime.now(dt.UTC))))
        spent = time.process_time() - started
    assert result.status
    assert result.status.status is Status.CONFORMANT
    assert len(backend.asked) == leaves
    return spent


def test_ten_times_the_measurements_cost_ten_times_as_much(tmp_path: Path) -> None:
    seconds(tmp_path / "warm", 100)
    small, large = seconds(tmp_path / "small", 400), seconds(tmp_path / "large", 4000)

    assert large / small < 15, f"{small:.3f} s for 400, {large:.3f} s for 4000"
    assert large / 4000 < 0.002, "two milliseconds each are more than any of the work needs"
