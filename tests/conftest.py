"""Options and skips that hold for all tests; plain `pytest` needs no cluster and no network."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from google.rpc import status_pb2
from xdist.scheduler import LoadFileScheduling

# Pulumi and googleapis (which kfp needs) each bring the same message under another file name, and protobuf takes a name
# only once per process. Nothing but a test run has both in one process.
sys.modules["pulumi.runtime.proto.status_pb2"] = status_pb2

CLUSTER = "tests/cluster/"
ANEW = (f"{CLUSTER}test_interruption", f"{CLUSTER}test_lost_cluster")
"""Those that make the platform anew come after those that go on with what is there."""

SKIPPED_WITHOUT = {
    "cluster": "needs a real cluster: run with --with-cluster",
    "engine": "needs the pulumi binary: run `mlops toolchain install`",
    "apiserver": "needs etcd and kube-apiserver: run `mlops toolchain install`",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--with-cluster",
        action="store_true",
        help="run the tests of a real, ephemeral cluster as well; then nothing is skipped for want of a tool",
    )
    parser.addoption("--on", metavar="STACK", help="a platform that is up already: tests use it and leave it up")
    parser.addoption("--update-test-data", action="store_true", help="rewrite the expected output in tests/data")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--with-cluster"):
        items.sort(key=_turn)
        return
    lacking = {"cluster"}
    marked = {mark.name for item in items for mark in item.iter_markers()}
    if "engine" in marked and not _installed("pulumi"):
        lacking.add("engine")
    if "apiserver" in marked and not _installed("etcd", "kube-apiserver"):
        lacking.add("apiserver")
    for item in items:
        for name in sorted(lacking & {mark.name for mark in item.iter_markers()}):
            item.add_marker(pytest.mark.skip(reason=SKIPPED_WITHOUT[name]))


def _turn(item: pytest.Item) -> int:
    """Return when a test has its turn: those of the cluster first, for they take longest, and mostly wait."""
    if not item.nodeid.startswith(CLUSTER):
        return 2
    return int(item.nodeid.startswith(ANEW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Give each worker whole files, so that what a module sets up is set up once; the cluster is one worker's alone."""
    return OneCluster(config, log)


class OneCluster(LoadFileScheduling):
    """Files by themselves, but those that share the session's cluster together."""

    def _split_scope(self, nodeid: str) -> str:
        return CLUSTER if nodeid.startswith(CLUSTER) else str(super()._split_scope(nodeid))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With a cluster a skipped test is a failed run: nothing is left out silently."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--with-cluster") and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def update_test_data(request: pytest.FixtureRequest) -> bool:
    """Whether expected output is to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-test-data"))


def _installed(*names: str) -> bool:
    from mlops import toolchain

    return set(names) <= {tool.name for tool in toolchain.tools() if tool.installed}
