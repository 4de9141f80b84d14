"""The language host's side of the engine's protocol: one method per call, in the order of language.proto."""

# ruff: noqa: N802 (the methods are named by the protocol)

from __future__ import annotations

import importlib.metadata
import json
import random
import shutil
import sys
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, language_pb2, language_pb2_grpc, plugin_pb2

from mlops.plugins.language_host import packages
from mlops.plugins.language_host.environments import Command, Environment, resolve
from mlops.plugins.language_host.errors import HostError
from mlops.plugins.language_host.options import PythonOptions, parse
from mlops.plugins.language_host.processes import Finished, Output, execute, stream, typecheck

__all__ = ["LanguageHost"]

OLDEST_PYTHON = (3, 10)
"""The oldest Python that this version of the SDK supports."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. `executor` is the SDK's script that sets a program up, `engine` the engine's address."""

    def __init__(self, executor: Path, engine: str = "", tracing: str = "") -> None:
        self._executor = executor
        self._engine = engine
        self._tracing = tracing
        self._environments: dict[PythonOptions, Environment] = {}
        self._lock = threading.Lock()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Take the address of an engine that attached to a host it did not start."""
        del context
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Name the plugins of the installed packages, after making sure that there is an environment."""
        with _reported(context):
            environment = self._environment(request.info)
            log = _EngineLog(self._engine)
            for piece in _run_all(environment.ensure(Path(request.info.program_directory)), context):
                log.write(piece)
            environment.validate()
            found = packages.inspect(environment)
            _warn_of_old_python(found.version)
            return language_pb2.GetRequiredPackagesResponse(
                packages=[_dependency(plugin) for plugin in packages.plugins(found.packages)]
            )

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refuse, as the official host does: engines call GetRequiredPackages."""
        del request
        _refuse(context, "GetRequiredPlugins")

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program under the SDK's script; its output goes straight to the engine."""
        with _reported(context):
            if not self._engine:
                msg = "when debugging or running explicitly, must call Handshake before Run"
                raise HostError(msg)
            if request.attach_debugger:
                msg = "attaching a debugger is not supported by this stand-in for pulumi-language-python"
                return language_pb2.RunResponse(error=msg)
            options = _options(request.info)
            environment = self._environment(request.info)
            environment.validate()
            typecheck(environment, options, _on_cancel(context))
            outcome = execute(self._command(environment, request), _on_cancel(context))
            return language_pb2.RunResponse(error=outcome.error, bail=outcome.bail)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Tell the version of the protocol: the SDK's."""
        del request, context
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install with the program's own tool and stream what it prints."""
        with _reported(context):
            options = _options(request.info, plugin=request.is_plugin)
            yield _installing(Output(b"Installing dependencies...\n\n"))
            environment = resolve(options)
            for piece in _run_all(environment.install(options.program), context):
                yield _installing(piece)
            yield _installing(Output(b"Finished installing dependencies\n\n"))

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask `pulumi new` for the toolchain, then for the folder of pip's environment."""
        del context
        given = json_format.MessageToDict(request.info.options)
        prompts = []
        if "toolchain" not in given:
            found = sorted(("poetry", "uv"), key=lambda tool: shutil.which(tool) is None)
            labels = {tool: tool if shutil.which(tool) else f"{tool} [not found]" for tool in found}
            what = "The toolchain to use for installing dependencies and running the program"
            prompts.append(_prompt("toolchain", what, {"pip": "pip", **labels}))
        elif given["toolchain"] == "pip" and "virtualenv" not in given:
            prompts.append(_prompt("virtualenv", "The virtualenv to use", {"venv": ""}))
        return language_pb2.RuntimeOptionsResponse(prompts=prompts)

    def Template(
        self, request: language_pb2.TemplateRequest, context: grpc.ServicerContext
    ) -> language_pb2.TemplateResponse:
        """Turn a template's requirements.txt into what the chosen tool wants."""
        with _reported(context):
            environment = self._environment(request.info)
            for _ in _run_all(environment.prepare(Path(request.info.program_directory)), context):
                pass
            return language_pb2.TemplateResponse()

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Tell which Python runs the program."""
        with _reported(context):
            found = packages.inspect(self._environment(request.info))
            return language_pb2.AboutResponse(
                executable=found.executable,
                version=".".join(map(str, found.version)),
            )

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the program's packages."""
        with _reported(context):
            found = packages.dependencies(
                self._environment(request.info),
                Path(request.info.program_directory),
                transitive=request.transitiveDependencies,
            )
            return language_pb2.GetProgramDependenciesResponse(
                dependencies=[language_pb2.DependencyInfo(name=each.name, version=each.version) for each in found]
            )

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a plugin written in Python: a folder with `__main__.py`, or a buildable package of components."""
        with _reported(context):
            if request.attach_debugger:
                msg = "attaching a debugger is not supported by this stand-in for pulumi-language-python"
                raise HostError(msg)
            options = _options(request.info, plugin=True)
            command = _plugin_command(resolve(options), options, list(request.args))
            env = {**command.env, **dict(line.split("=", 1) for line in request.env if "=" in line)}
            env["PATH"] = command.env["PATH"]
            for piece in stream(Command(command.args, env, Path(request.pwd)), _on_cancel(context)):
                if isinstance(piece, Finished):
                    if piece.code:
                        yield language_pb2.RunPluginResponse(exitcode=max(piece.code, -1))
                elif piece.is_error:
                    yield language_pb2.RunPluginResponse(stderr=piece.data)
                else:
                    yield language_pb2.RunPluginResponse(stdout=piece.data)

    def GenerateProgram(self, request: language_pb2.GenerateProgramRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: code is generated from provider schemas, which the stand-ins do not carry."""
        del request
        _refuse(context, "GenerateProgram")

    def GenerateProject(self, request: language_pb2.GenerateProjectRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse, for the same reason."""
        del request
        _refuse(context, "GenerateProject")

    def GeneratePackage(self, request: language_pb2.GeneratePackageRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse, for the same reason."""
        del request
        _refuse(context, "GeneratePackage")

    def Pack(self, request: language_pb2.PackRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: nothing is generated, so nothing is packed."""
        del request
        _refuse(context, "Pack")

    def Link(self, request: language_pb2.LinkRequest, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: links generated packages into a program."""
        del request
        _refuse(context, "Link")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Acknowledge; what runs is ended by the engine cancelling its call."""
        del request, context
        return empty_pb2.Empty()

    def _environment(self, info: language_pb2.ProgramInfo) -> Environment:
        """Return the environment of a program, resolved once: uv then syncs once per engine run, not once per call."""
        options = _options(info)
        with self._lock:
            if options not in self._environments:
                self._environments[options] = resolve(options)
            return self._environments[options]

    def _command(self, environment: Environment, request: language_pb2.RunRequest) -> Command:
        named = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "root_directory": request.info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": "true" if request.dryRun else "false",
            "parallel": str(request.parallel),
            "tracing": self._tracing,
            "organization": request.organization,
        }
        args = [word for name, value in named.items() if value for word in (f"--{name}", value)]
        command = environment.python(str(self._executor), *args, request.info.entry_point, *request.args)
        # Unbuffered, so that what a program prints appears while it runs and not after it.
        env = {**command.env, "PYTHONUNBUFFERED": "1"}
        if request.config:
            env["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        env["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        return Command(command.args, env, command.cwd)


class _EngineLog:
    """Shows the progress of an installation as passing messages of the engine."""

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None
        self._stream = random.getrandbits(31)

    def write(self, piece: Output) -> None:
        if self._engine is None:
            return
        severity = engine_pb2.ERROR if piece.is_error else engine_pb2.INFO
        text = piece.data.decode(errors="replace")
        self._engine.Log(engine_pb2.LogRequest(message=text, severity=severity, ephemeral=True, streamId=self._stream))


@contextmanager
def _reported(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except HostError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _refuse(context: grpc.ServicerContext, method: str) -> NoReturn:
    msg = f"{method} is not supported by this stand-in for pulumi-language-python; install the official Pulumi release"
    context.abort(grpc.StatusCode.UNIMPLEMENTED, msg)
    raise AssertionError  # abort has raised


def _on_cancel(context: grpc.ServicerContext) -> Callable[[Callable[[], None]], object]:
    return context.add_callback


def _options(info: language_pb2.ProgramInfo, *, plugin: bool = False) -> PythonOptions:
    given = json_format.MessageToDict(info.options)
    if plugin and given.get("toolchain", "pip") == "pip":
        # A plugin never runs in the ambient Python.
        given.setdefault("virtualenv", "venv")
    return parse(info.root_directory, info.program_directory, given)


def _run_all(steps: Iterable[Command | str], context: grpc.ServicerContext) -> Iterator[Output]:
    for step in steps:
        if isinstance(step, str):
            yield Output(f"{step}\n".encode())
            continue
        for piece in stream(step, _on_cancel(context)):
            if isinstance(piece, Output):
                yield piece
            elif piece.code:
                msg = f"`{' '.join(map(str, step.args))}` failed: exit status {piece.code}"
                raise HostError(msg)


def _installing(piece: Output) -> language_pb2.InstallDependenciesResponse:
    if piece.is_error:
        return language_pb2.InstallDependenciesResponse(stderr=piece.data)
    return language_pb2.InstallDependenciesResponse(stdout=piece.data)


def _dependency(plugin: packages.Plugin) -> plugin_pb2.PackageDependency:
    def parameter(given: tuple[str, str, bytes] | None) -> plugin_pb2.PackageParameterization | None:
        if given is None:
            return None
        name, version, value = given
        return plugin_pb2.PackageParameterization(name=name, version=version, value=value)

    return plugin_pb2.PackageDependency(
        name=plugin.name,
        version=plugin.version,
        kind="resource",
        server=plugin.server,
        parameterization=parameter(plugin.parameterization),
        extension=parameter(plugin.extension),
    )


def _warn_of_old_python(version: tuple[int, int, int]) -> None:
    if version < OLDEST_PYTHON:
        found, wanted = (".".join(map(str, each)) for each in (version, OLDEST_PYTHON))
        # The engine shows what a language host writes to stderr.
        sys.stderr.write(f"Pulumi does not support Python {found}. Please upgrade to at least {wanted}\n")


def _plugin_command(environment: Environment, options: PythonOptions, args: list[str]) -> Command:
    if (options.root / "__main__.py").exists():
        return environment.python(str(options.program), *args)
    pyproject = options.root / "pyproject.toml"
    told = tomllib.loads(pyproject.read_text()) if pyproject.exists() else {}
    name = told.get("project", {}).get("name")
    if not name or not told.get("build-system", {}).get("build-backend"):
        msg = "plugin is not runnable, it provides neither __main__.py nor a buildable pyproject.toml"
        raise HostError(msg)
    return environment.python("-m", "pulumi.run.plugin", name, *args)


def _prompt(key: str, description: str, choices: dict[str, str]) -> language_pb2.RuntimeOptionPrompt:
    text = language_pb2.RuntimeOptionPrompt.STRING
    values = [
        language_pb2.RuntimeOptionPrompt.RuntimeOptionValue(promptType=text, stringValue=word, displayName=label)
        for word, label in choices.items()
    ]
    return language_pb2.RuntimeOptionPrompt(
        key=key, description=description, promptType=text, choices=values, default=values[0]
    )
