"""A container engine and a kind of paper: two executables that keep what they are told in one JSON file.

They answer the commands that the project gives, in the words of podman and kind, and end with an error on any other.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components._core.engine import Engine

__all__ = ["PaperEngine", "saved_image"]

_EMPTY: dict[str, Any] = {"containers": {}, "volumes": {}, "networks": [], "images": {}, "calls": [], "fail": {}}

_PODMAN = """#!{python} -IS
import json, os, sys
with open({file!r}) as file:
    state = json.load(file)
arguments = sys.argv[1:]

def keep():
    with open(f"{file}.{{os.getpid()}}", "w") as partial:
        json.dump(state, partial)
    os.rename(partial.name, {file!r})

state["calls"].append(" ".join(arguments))

def end(text="", code=0):
    keep()
    print(text, end="" if text.endswith("\\n") else "\\n", file=sys.stderr if code else sys.stdout)
    sys.exit(code)

def filters():
    return [arguments[i + 1].partition("=")[2] for i, word in enumerate(arguments) if word == "--filter"]

for words, message in state["fail"].items():
    if " ".join(arguments).startswith(words):
        end(message, 125)
containers, images = state["containers"], state["images"]
match arguments:
    case ["container", "inspect", name]:
        if name not in containers:
            end(f"Error: no such container {{name}}", 125)
        found = containers[name]
        end(json.dumps([{{"Id": found["id"], "State": {{"Running": found["running"]}}}}]))
    case ["image", "inspect", name]:
        end(json.dumps([{{"Id": images[name]}}])) if name in images else end(f"Error: {{name}}: image not known", 125)
    case ["ps", *_] if "--external" in arguments:
        end("".join(f"{{k}} {{k}} {{v}}\\n" for k, v in state.get("external", {{}}).items()))
    case ["ps", *_] if "{{{{.Names}}}}" in arguments:
        (wanted,) = filters()
        cluster = wanted.partition("=")[2]
        end("\\n".join(k for k, v in containers.items() if v["cluster"] == cluster and v["running"]))
    case ["ps", *_]:
        (wanted,) = filters()
        key, _, value = wanted.partition("=")
        end("\\n".join(v["id"] for v in containers.values() if key == "kind" or v["cluster"] == value))
    case ["start", name]:
        containers[name]["running"] = True
        end(name)
    case ["kill", *_] | ["network", "rm", *_] | ["logs", *_]:
        if arguments[0] == "network":
            state["networks"] = []
        end()
    case ["rm", "--force", *rest]:
        state["containers"] = {{k: v for k, v in containers.items() if v["id"] not in rest}}
        state["external"] = {{k: v for k, v in state.get("external", {{}}).items() if k not in rest}}
        end()
    case ["volume", "ls", *_]:
        (node,) = filters()
        end("\\n".join(k for k, v in state["volumes"].items() if v == node))
    case ["volume", "rm", "--force", *names]:
        for name in names:
            del state["volumes"][name]
        end()
    case ["exec", node, "kubectl", *_]:
        ready = "True" if containers[node]["running"] else "False"
        end(json.dumps({{"status": {{"conditions": [{{"type": "Ready", "status": ready}}]}}}}))
    case ["exec", node, "journalctl", *_]:
        end("the kubelet's last words")
    case ["exec", node, "ctr", *_, "images", "ls", "--quiet"]:
        end("\\n".join(containers[node].get("images", {{}})))
    case ["exec", node, "ctr", *_, "images", "ls"]:
        held = containers[node].get("images", {{}})
        end("REF TYPE DIGEST SIZE\\n" + "".join(f"{{k}} type {{v}} 1 MiB\\n" for k, v in held.items()))
    case ["exec", node, "ctr", *_, "content", "ls", "-q"]:
        end("\\n".join(containers[node].get("content", [])))
    case ["exec", "-i", node, "ctr", *_, "images", "import", "--digests=false", "-"]:
        import tarfile
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member).read()
                if member.name == "index.json":
                    entry = json.loads(content)["manifests"][0]
                    name = entry["annotations"]["io.containerd.image.name"]
                    containers[node].setdefault("images", {{}})[name] = entry["digest"]
                if member.name.startswith("blobs/"):
                    containers[node].setdefault("content", []).append("sha256:" + member.name.rpartition("/")[2])
                    containers[node].setdefault("received", []).append(member.size)
        end("imported")
    case ["load"]:
        import tarfile
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            for member in archive:
                if member.name == "manifest.json":
                    images[json.loads(archive.extractfile(member).read())[0]["RepoTags"][0]] = "id"
        end("loaded")
    case ["build", *_]:
        images[arguments[arguments.index("--tag") + 1]] = "built"
        found = (name for _, _, files in os.walk(arguments[-1]) for name in files)
        state.setdefault("contexts", []).append(sorted(found))
        end("STEP 1/1")
    case ["save", *_, name] if name in images:
        keep()
        with open({archive!r}, "rb") as archive:
            sys.stdout.buffer.write(archive.read())
        sys.exit(0)
    case ["image", "rm", *_, name]:
        images.pop(name, None)
        end()
    case ["images", *_]:
        end("\\n".join(images))
    case _:
        end(f"this engine of paper does not know: {{arguments}}", 125)
"""

_KIND = """#!{python} -IS
import json, os, sys
with open({file!r}) as file:
    state = json.load(file)
arguments = sys.argv[1:]

def keep():
    with open(f"{file}.{{os.getpid()}}", "w") as partial:
        json.dump(state, partial)
    os.rename(partial.name, {file!r})

state["calls"].append("kind " + " ".join(arguments))
name = arguments[arguments.index("--name") + 1]
node = f"{{name}}-control-plane"
if arguments[0] == "create":
    if "kind" in state["fail"]:
        keep()
        print(" ✓ Preparing nodes", state["fail"]["kind"], sep="\\n", file=sys.stderr)
        sys.exit(1)
    state["made"] = state.get("made", 0) + 1
    with open(arguments[arguments.index("--config") + 1]) as config:
        state["config"] = json.load(config)
    state["networks"] = ["kind"]
    state["volumes"][f"volume-{{state['made']}}"] = node
    state["containers"][node] = {{"id": f"id-{{state['made']}}", "cluster": name, "running": True}}
    keep()
    if seconds := state.get("slow"):
        time.sleep(seconds)
else:
    keep()
    server = "https://127.0.0.1:1234"
    print(f"apiVersion: v1\\nclusters:\\n- cluster:\\n    server: {{server}}\\n# of", state["containers"][node]["id"])
"""


class PaperEngine:
    """The two executables in a folder, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.json"
        self.archive = folder / "saved.tar"
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name, text in (("podman", _PODMAN), ("kind", _KIND)):
            program = programs / name
            program.write_text(text.format(python=sys.executable, file=str(self._file), archive=str(self.archive)))
            program.chmod(0o755)
        self.change(**_EMPTY)

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which the two are found first."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KIND_EXPERIMENTAL_PROVIDER": "podman"}

    @property
    def engine(self) -> Engine:
        """Return it as what the project works with."""
        return Engine("podman", self.environment)

    @property
    def state(self) -> Mapping[str, Any]:
        """Return what the engine holds now."""
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    def change(self, **values: object) -> None:
        """Change what the engine holds, behind the back of whoever uses it."""
        before = self.state if self._file.exists() else {}
        partial = self._file.with_suffix(".new")
        partial.write_text(json.dumps({**before, **values}))
        partial.rename(self._file)

    def calls(self, words: str) -> list[str]:
        """Return the commands that began with the given words."""
        return [call for call in self.state["calls"] if call.startswith(words)]


def saved_image(*contents: bytes, reference: str = "localhost/x:1") -> bytes:
    """Return what an engine saves of an image with one layer per content."""
    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    config = {"architecture": "amd64", "os": "linux", "config": {"User": "1:1", "Env": ["A=b"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}  # fmt: skip
    layers = [f"{number}/layer.tar" for number in range(len(contents))]
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": layers}]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        files = [*zip(layers, contents, strict=True), ("config.json", json.dumps(config).encode()),
                 ("manifest.json", json.dumps(manifest).encode())]  # fmt: skip
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
