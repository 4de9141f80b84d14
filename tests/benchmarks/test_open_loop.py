"""The arithmetic of the load that figures are measured with."""

from __future__ import annotations

import asyncio
import itertools
import math

import pytest

from benchmarks import open_loop
from benchmarks.open_loop import Client, Offered, constant, offer, percentile, poisson, saturation


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.001, 1)], ids=str)
def test_percentiles_are_values_that_were_measured(share: float, wanted: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], share) == wanted
    assert percentile([7.0], share) == 7.0
    assert percentile([], share) == math.inf


def test_arrivals_have_their_rate() -> None:
    assert constant(4, 1) == [0, 0.25, 0.5, 0.75]
    assert constant(0.1, 1) == [0]
    found = poisson(100, 50, seed=3)
    assert found == poisson(100, 50, seed=3) != poisson(100, 50, seed=4)
    assert found == sorted(found)
    assert 4700 < len(found) < 5300
    gaps = [after - before for before, after in itertools.pairwise(found)]
    # An exponential has a standard deviation as large as its mean; even distances have none.
    mean = sum(gaps) / len(gaps)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.1)


def served(rate: float, most: float) -> Offered:
    """Return what a server that answers `most` per second makes of ten seconds at a rate."""
    number = int(rate * 10)
    return Offered(rate, latencies=[0.01] * number, seconds=number / min(rate, most))


def test_saturation_is_the_last_rate_that_was_kept_up_with() -> None:
    best, steps = saturation(lambda rate: served(rate, most=100), 110)
    assert 95 <= best <= 100 / open_loop.KEPT_UP
    # The rate after it was tried twice.
    assert [each.keeps_up for each in steps][-3:] == [True, False, False]
    assert steps[-1].wanted == steps[-2].wanted == pytest.approx(best + 5.5)


def test_one_spoilt_step_is_no_saturation() -> None:
    answers = iter([served(60, 100), Offered(65, failed=1, seconds=10), served(65, 100)])
    best, _ = saturation(lambda rate: next(answers, served(rate, 70)), 100)
    assert 65 <= best < 75


def test_a_server_that_never_keeps_up_has_no_saturation() -> None:
    best, steps = saturation(lambda rate: served(rate, most=1), 100)
    assert (best, len(steps)) == (0.0, 2)


def test_a_server_that_is_never_saturated_ends_the_search() -> None:
    best, steps = saturation(lambda rate: served(rate, most=1e9), 100)
    assert best == pytest.approx(140)
    assert len(steps) == 17


def test_whoever_waits_behind_a_slow_answer_was_late_too() -> None:
    """One at a time is answered, each after 0.05 s, and ten are asked for at once: latencies add up."""

    async def measured() -> Offered:
        turn = asyncio.Lock()

        gone: list[asyncio.StreamWriter] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            gone.append(writer)
            while head := await reader.readline():
                while (line := await reader.readline()) != b"\r\n":
                    head = line if line.startswith(b"content-length") else head
                await reader.readexactly(int(head.split()[1]))
                async with turn:
                    await asyncio.sleep(0.05)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            client = Client(server.sockets[0].getsockname()[1], "/")
            found = await offer(client, [b"{}"], [0.0] * 10, 1000)
            await client.close()
            await asyncio.gather(*(writer.wait_closed() for writer in gone))
            return found

    found = open_loop.run(measured())
    assert (len(found.latencies), found.failed, len(found.delays)) == (10, 0, 10)
    ordered = sorted(found.latencies)
    assert all(ordered[place] >= 0.05 * (place + 1) for place in range(10))
    assert not found.keeps_up


def test_nobody_to_ask_is_a_failure_and_no_hang() -> None:
    async def measured() -> Offered:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await offer(Client(port, "/"), [b"{}"], [0.0, 0.001], 1000)

    found = open_loop.run(measured())
    assert (found.failed, found.latencies, found.keeps_up) == (2, [], False)
