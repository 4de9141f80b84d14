"""Which packages have a plugin, and at which version."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.plugins.language_host.environments import Pip
from mlops.plugins.language_host.errors import HostError
from mlops.plugins.language_host.packages import Package, Plugin, dependencies, inspect, plugin_version, plugins


@pytest.mark.parametrize(
    ("python", "plugin"),
    [
        ("1", "1.0.0"),
        ("1.0", "1.0.0"),
        ("4.34.2", "4.34.2"),
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3a4", "1.2.3-alpha.4"),
        ("1.2.3b4", "1.2.3-beta.4"),
        ("1.2.3rc4", "1.2.3-rc.4"),
        ("1.2.3.post4", "1.2.3+post4"),
        ("1.2.3.dev5", "1.2.3+dev5"),
        ("1.2.3a1.post4.dev5", "1.2.3-alpha.1+post4dev5"),
        ("1!2.3", None),
        ("", None),
        ("1.2.3+local", None),
        ("1.2.٣", None),
    ],
)
def test_versions_are_translated(python: str, plugin: str | None) -> None:
    assert plugin_version(python) == plugin


@given(st.lists(st.integers(0, 999), min_size=1, max_size=5))
def test_plain_versions_keep_their_numbers(numbers: list[int]) -> None:
    told = plugin_version(".".join(map(str, numbers)))
    assert told is not None
    assert [int(part) for part in told.split(".")] == numbers + [0] * (3 - len(numbers))


def test_plugins_follow_pulumi_plugin_json() -> None:
    value = base64.b64encode(b"schema").decode()
    found = plugins(
        [
            Package("pulumi-kubernetes", "4.34.2", {"resource": True, "name": "kubernetes", "version": "4.34.2"}),
            Package("pulumi-random", "4.1"),
            Package("pulumi-policy", "1.21.0"),
            Package("pulumi-house", "1.0.0", {"resource": False}),
            Package("other", "2.0.0"),
            Package("pulumi-odd", "1!1"),
            Package(
                "mine",
                "1.0.0",
                {
                    "resource": True,
                    "version": "v3.1.0",
                    "server": "https://example.org",
                    "parameterization": {"name": "mine", "version": "1.0.0", "value": value},
                },
            ),
        ]
    )
    assert found == [
        Plugin("kubernetes", "v4.34.2"),
        Plugin("mine", "v3.1.0", "https://example.org", ("mine", "1.0.0", b"schema")),
        Plugin("random", "v4.1.0"),
    ]


def test_this_environment_has_the_kubernetes_plugin(tmp_path: Path) -> None:
    found = inspect(Pip(tmp_path, str(Path(sys.executable).parents[1])))
    assert found.executable == sys.executable
    assert found.version == sys.version_info[:3]
    assert Plugin("kubernetes", "v4.34.2") in plugins(found.packages)
    assert all(plugin.name != "pulumi" for plugin in plugins(found.packages))


class Locked:
    """An environment of uv, of which only the name counts."""

    tool = "uv"


def test_dependencies_come_from_the_lock(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(
        '[[package]]\nname = "p"\nversion = "0"\nsource = { virtual = "." }\n'
        '[[package]]\nname = "Py_YAML"\nversion = "6.0.3"\n[[package]]\nname = "six"\nversion = "1.17.0"\n'
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\ndependencies = ["py.yaml>=6 ; python_version>\'3\'"]\n'
    )
    program = tmp_path / "program"
    yaml, six = Package("py-yaml", "6.0.3"), Package("six", "1.17.0")
    assert dependencies(Locked(), program, transitive=True) == [yaml, six]  # type: ignore[arg-type]
    assert dependencies(Locked(), program, transitive=False) == [yaml]  # type: ignore[arg-type]


def test_missing_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"could not find uv\.lock"):
        dependencies(Locked(), tmp_path, transitive=True)  # type: ignore[arg-type]
