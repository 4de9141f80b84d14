"""`kill -9` of the engine at random moments of `up`: the next `up` finishes, nothing is orphaned."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from components._core import paths
from tests.support.platform import MLOPS, Platform

KILLS = int(os.environ.get("MLOPS_TEST_KILLS", "2"))
"""How often; ten is what a release is tested with."""

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200 + 600 * KILLS)]

STACK = "ci"

LOG = logging.getLogger(__name__)


def engines(up: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the engines that an `up` has started: others of this machine are none of our business."""
    try:
        return [child for child in psutil.Process(up.pid).children(recursive=True) if child.name() == "pulumi"]
    except psutil.NoSuchProcess:
        return []


def test_killed_up_is_finished_by_the_next(platform: Platform) -> None:
    seed = int(os.environ.get("MLOPS_TEST_SEED", str(time.time_ns() % 100000)))
    chance = random.Random(seed)  # noqa: S311 (moments, not secrets)
    for kill in range(KILLS):
        platform.pulumi("destroy", "--yes", "--skip-preview")
        platform.forget()
        with subprocess.Popen(
            [MLOPS, "up", "--stack", STACK, "--no-loop"],
            cwd=paths.CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as up:
            while not engines(up):
                assert up.poll() is None, "up ended before its engine started"
                time.sleep(0.1)
            moment = chance.uniform(1, 75)
            time.sleep(moment)
            for engine in engines(up):
                with suppress(psutil.NoSuchProcess):
                    engine.send_signal(signal.SIGKILL)
            up.wait(timeout=120)
        LOG.info("kill %d of seed %d after %.1f s; up ended with %d", kill, seed, moment, up.returncode)
        done = platform.mlops("up", "--stack", STACK, "--no-loop", check=False, timeout=900)
        told = f"seed {seed}, kill {kill} after {moment:.1f} s\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, told
        assert platform.changes() == {}, told
