"""The tools as toolchain/ describes them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from mlops.errors import UsageError
from mlops.toolchain import model
from mlops.toolchain.model import GO_LOCK, ROOT, Module, NeededFor, go_version, key, module_of, modules

REQUIRED = {
    "pulumi": "github.com/pulumi/pulumi/pkg/v3",
    "kind": "sigs.k8s.io/kind",
    "kubernetes": "k8s.io/kubernetes",
    "containerd": "github.com/containerd/containerd/v2",
    "etcd": "go.etcd.io/etcd/server/v3",
    "coredns": "github.com/coredns/coredns",
    "cni-plugins": "github.com/containernetworking/plugins",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner",
    "kserve": "github.com/kserve/kserve",
    "kube-state-metrics": "k8s.io/kube-state-metrics/v2",
    "versitygw": "github.com/versity/versitygw",
    "prometheus": "github.com/prometheus/prometheus",
    "prometheus-operator": "github.com/prometheus-operator/prometheus-operator",
    "alertmanager": "github.com/prometheus/alertmanager",
}


def test_every_folder_is_a_tool_and_every_tool_is_known() -> None:
    folders = {folder.name for folder in ROOT.iterdir() if folder.is_dir()}
    assert set(modules()) == folders
    assert set(REQUIRED) <= folders


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_version_is_the_one_that_is_locked(name: str) -> None:
    module = modules()[name]
    lock = (module.folder / "go.mod").read_text()
    assert f"{REQUIRED[name]} v{module.version}" in lock
    assert f"{REQUIRED[name]} v{module.version} h1:" in (module.folder / "go.sum").read_text()
    for version in re.findall(r"=v?(\d+\.\d+\.\d+)", module.ldflags):
        assert version == module.version


@pytest.mark.parametrize("module", modules().values(), ids=lambda module: module.name)
def test_packages_are_the_tools_of_the_lock(module: Module) -> None:
    block = re.search(
        r"^tool \(\n(.*?)^\)|^tool (\S+)$", (module.folder / "go.mod").read_text(), re.MULTILINE | re.DOTALL
    )
    locked = (block.group(1) or block.group(2)).split() if block else ["."]
    assert sorted(module.binaries.values()) == sorted(locked)
    assert list(module.binaries) == sorted(module.binaries)


def test_executables_have_one_builder() -> None:
    names = [name for module in modules().values() for name in module.binaries]
    assert len(names) == len(set(names))


def test_what_is_waited_for_first_is_built_first() -> None:
    order = [module.needed_for for module in modules().values()]
    assert order == sorted(order, key=list(NeededFor).index)
    assert next(iter(modules())) == "pulumi"


def test_only_host_tools_have_an_official_build() -> None:
    for module in modules().values():
        assert (module.upstream is not None) == (module.needed_for is NeededFor.HOST)


def test_module_is_found_by_executable_and_by_name() -> None:
    assert module_of("kubelet").name == "kubernetes"
    assert module_of("cni-plugins").name == "cni-plugins"
    with pytest.raises(UsageError, match="there is no tool called 'kubelt'") as failure:
        module_of("kubelt")
    assert "kubelet" in str(failure.value)


def test_go_is_pinned_with_hashes() -> None:
    assert go_version() == "1.26.6"
    assert GO_LOCK.read_text().count("--hash=sha256:") > 1


def test_key_follows_what_is_built_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "toolchain"
    shutil.copytree(ROOT / "kind", copy / "kind")
    monkeypatch.setattr(model, "ROOT", copy)

    def now() -> str:
        modules.cache_clear()
        key.cache_clear()
        return key("kind")

    try:
        first = now()
        file = copy / "kind" / "tool.yaml"
        told = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(told | {"summary": "another text", "seconds": 1}))
        assert now() == first
        file.write_text(yaml.safe_dump(told | {"tags": ["other"]}))
        assert now() != first
        file.write_text(yaml.safe_dump(told))
        with (copy / "kind" / "go.sum").open("a") as sums:
            sums.write("\n")
        assert now() != first
    finally:
        monkeypatch.undo()
        modules.cache_clear()
        key.cache_clear()


def test_wrong_tool_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model.paths.CHECKOUT / "toolchain"
    assert folder == ROOT
    monkeypatch.setattr(model, "ROOT", tmp_path)
    monkeypatch.setattr(model.paths, "CHECKOUT", tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "tool.yaml").write_text("summary: x\nverison: 1\n")
    modules.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"odd/tool\.yaml") as failure:
            modules()
        assert "verison" in str(failure.value)
    finally:
        monkeypatch.undo()
        modules.cache_clear()
