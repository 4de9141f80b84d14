"""Images on disk."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from mlops.errors import OperationError
from mlops.images.store import Store
from tests.support.container_engine import saved_image


def written(store: Store, reference: str, without: frozenset[str] = frozenset()) -> dict[str, bytes]:
    stored = store.find(reference)
    assert stored
    sink = io.BytesIO()
    store.write(stored, sink, without)
    sink.seek(0)
    with tarfile.open(fileobj=sink) as archive:
        contents = {member.name: archive.extractfile(member) for member in archive}
        return {name: content.read() for name, content in contents.items() if content}


def test_image_comes_out_as_it_went_in(store: Store) -> None:
    added = store.add("localhost/x:1", io.BytesIO(saved_image(b"one", b"two")))
    assert store.find("localhost/x:1") == added
    assert added.size == 6
    files = written(store, "localhost/x:1")
    index = json.loads(files["index.json"])["manifests"][0]
    assert index["annotations"]["io.containerd.image.name"] == "localhost/x:1"
    manifest = json.loads(files[f"blobs/sha256/{index['digest'].removeprefix('sha256:')}"])
    layers = [files[f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}"] for layer in manifest["layers"]]
    assert layers == [b"one", b"two"]


def test_archive_is_also_one_that_docker_loads(store: Store) -> None:
    store.add("localhost/x:1", io.BytesIO(saved_image(b"one")))
    files = written(store, "localhost/x:1")
    (docker,) = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["localhost/x:1"]
    assert all(name in files for name in (docker["Config"], *docker["Layers"]))


def test_layers_that_the_other_side_has_stay_home(store: Store) -> None:
    added = store.add("localhost/x:1", io.BytesIO(saved_image(b"one", b"two")))
    files = written(store, "localhost/x:1", frozenset({added.layers[0].digest}))
    contents = set(files.values())
    assert b"two" in contents
    assert b"one" not in contents


def test_shared_layers_are_kept_once(store: Store) -> None:
    store.add("localhost/x:1", io.BytesIO(saved_image(b"one", b"two")))
    before = {file.name for file in (store.folder / "blobs").iterdir()}
    store.add("localhost/y:1", io.BytesIO(saved_image(b"one", b"three")))
    after = {file.name for file in (store.folder / "blobs").iterdir()}
    assert len(after - before) == 3  # a layer, a configuration, a manifest


def test_extension_keeps_the_base_and_overrides_how_it_runs(store: Store) -> None:
    base = store.add("localhost/x:1", io.BytesIO(saved_image(b"one")))
    extended = store.extend("localhost/y:1", base, io.BytesIO(b"two"), {"Entrypoint": ["/run"]})
    config = json.loads(store.read(extended.config))
    assert config["config"] == {"User": "1:1", "Env": ["A=b"], "Entrypoint": ["/run"]}
    assert config["rootfs"]["diff_ids"] == [layer.digest for layer in extended.layers]
    assert extended.layers[:-1] == base.layers


def test_same_extension_gives_the_same_image(store: Store) -> None:
    first = store.extend("localhost/y:1", None, io.BytesIO(b"two"), {"User": "1:1"})
    second = store.extend("localhost/z:1", None, io.BytesIO(b"two"), {"User": "1:1"})
    assert first.manifest == second.manifest


def test_image_with_a_damaged_layer_is_as_good_as_missing(store: Store) -> None:
    added = store.add("localhost/x:1", io.BytesIO(saved_image(b"one")))
    (store.folder / "blobs" / added.layers[0].digest.removeprefix("sha256:")).write_bytes(b"")
    assert store.find("localhost/x:1") is None
    assert store.all() == []


def test_interrupted_save_leaves_no_image(store: Store) -> None:
    archive = saved_image(b"one" * 1000)
    with pytest.raises(tarfile.TarError):
        store.add("localhost/x:1", io.BytesIO(archive[:2000]))
    assert store.find("localhost/x:1") is None
    assert not [file for file in (store.folder / "blobs").iterdir() if file.name.startswith(".partial")]


def test_layers_must_be_those_of_the_configuration(store: Store) -> None:
    archive = saved_image(b"one").replace(b"one\0", b"two\0")
    with pytest.raises(OperationError, match="are not those of its configuration"):
        store.add("localhost/x:1", io.BytesIO(archive))


def test_pruning_keeps_what_kept_images_share(store: Store) -> None:
    store.add("localhost/x:1", io.BytesIO(saved_image(b"one", b"two")))
    store.add("localhost/y:1", io.BytesIO(saved_image(b"one", b"three")))
    freed = store.prune({"localhost/y:1"})
    assert freed > 0
    assert store.find("localhost/x:1") is None
    assert store.find("localhost/y:1")
