"""The calls of the protocol, each over a real connection."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from mlops.plugins.language_host.server import LanguageHost

VENV = str(Path(sys.executable).parents[1])


@pytest.fixture
def host() -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    """A client of a host that serves."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(Path("executor")), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)
    server.stop(None).wait()


def program(folder: Path, **options: str) -> language_pb2.ProgramInfo:
    given = struct_pb2.Struct()
    given.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point=".", options=given
    )


def test_version_is_that_of_the_sdk(host: language_pb2_grpc.LanguageRuntimeStub) -> None:
    assert host.GetPluginInfo(empty_pb2.Empty()).version == "3.255.0"


def test_required_packages(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    info = program(tmp_path, virtualenv=VENV, toolchain="pip")
    found = host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(info=info)).packages
    assert plugin_pb2.PackageDependency(name="kubernetes", version="v4.34.2", kind="resource") in found


def test_about_names_the_python(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    told = host.About(language_pb2.AboutRequest(info=program(tmp_path, virtualenv=VENV)))
    assert told.executable == sys.executable
    assert told.version == ".".join(map(str, sys.version_info[:3]))


def test_run_without_an_engine_is_refused(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        host.Run(language_pb2.RunRequest(info=program(tmp_path)))
    assert failure.value.details() == "when debugging or running explicitly, must call Handshake before Run"


def test_debugger_is_refused_by_name(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    host.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:1"))
    told = host.Run(language_pb2.RunRequest(info=program(tmp_path), attach_debugger=True))
    assert "attaching a debugger is not supported" in told.error


def test_installation_streams(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    info = program(tmp_path, toolchain="uv")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\n')
    answers = host.InstallDependencies(language_pb2.InstallDependenciesRequest(info=info))
    told = b"".join(answer.stdout for answer in answers).decode()
    assert told.startswith("Installing dependencies...\n\n")
    assert told.endswith("Finished installing dependencies\n\n")
    assert (tmp_path / ".venv" / "bin" / "python").exists()


def test_failed_installation_is_an_error(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    (tmp_path / "uv.lock").write_text("not a lock")
    request = language_pb2.InstallDependenciesRequest(info=program(tmp_path, toolchain="uv"))
    with pytest.raises(grpc.RpcError, match="`uv sync` failed: exit status 2"):
        list(host.InstallDependencies(request))


def test_prompts_of_a_new_project(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    def keys(**options: str) -> list[str]:
        request = language_pb2.RuntimeOptionsRequest(info=program(tmp_path, **options))
        return [prompt.key for prompt in host.RuntimeOptionsPrompts(request).prompts]

    assert keys() == ["toolchain"]
    assert keys(toolchain="pip") == ["virtualenv"]
    assert keys(toolchain="pip", virtualenv="venv") == []
    assert keys(toolchain="uv") == []
    prompt = host.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest(info=program(tmp_path))).prompts[0]
    assert prompt.default.stringValue == "pip"
    assert {choice.stringValue for choice in prompt.choices} == {"pip", "poetry", "uv"}


def test_plugin_that_is_none_is_told(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    request = language_pb2.RunPluginRequest(info=program(tmp_path, virtualenv=VENV), pwd=str(tmp_path))
    with pytest.raises(grpc.RpcError, match=r"provides neither __main__\.py nor a buildable pyproject"):
        list(host.RunPlugin(request))


def test_plugin_output_and_exit_code(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1], os.environ['WORD'])\nprint('oh', file=sys.stderr)\nsys.exit(7)\n"
    )
    info = program(tmp_path, virtualenv=VENV)
    request = language_pb2.RunPluginRequest(
        info=info, pwd=str(tmp_path), args=["hello"], env=["WORD=world", "PATH=/no"]
    )
    answers = list(host.RunPlugin(request))
    assert b"".join(answer.stdout for answer in answers) == b"hello world\n"
    assert b"".join(answer.stderr for answer in answers) == b"oh\n"
    assert answers[-1].exitcode == 7


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetRequiredPlugins", language_pb2.GetRequiredPluginsRequest()),
        ("GenerateProgram", language_pb2.GenerateProgramRequest()),
        ("GenerateProject", language_pb2.GenerateProjectRequest()),
        ("GeneratePackage", language_pb2.GeneratePackageRequest()),
        ("Pack", language_pb2.PackRequest()),
        ("Link", language_pb2.LinkRequest()),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    host: language_pb2_grpc.LanguageRuntimeStub, method: str, request_: object
) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        getattr(host, method)(request_)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert failure.value.details().startswith(f"{method} is not supported by this stand-in")


def test_cancel_is_acknowledged(host: language_pb2_grpc.LanguageRuntimeStub) -> None:
    assert host.Cancel(empty_pb2.Empty()) == empty_pb2.Empty()
