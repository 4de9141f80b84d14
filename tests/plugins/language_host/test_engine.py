"""The language host under the real engine: one test per row of the table in its README."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.support.pulumi_project import VENV, MakeProject, pypi_answers

pytestmark = pytest.mark.engine

needs_pypi = pytest.mark.skipif(not pypi_answers(), reason="installs from PyPI, which does not answer")

DYNAMIC = """
    import time
    import pulumi
    from pulumi import dynamic

    class Provider(dynamic.ResourceProvider):
        def create(self, props):
            time.sleep(props["seconds"])
            return dynamic.CreateResult("an-id", dict(props))

        def diff(self, id, olds, news):
            return dynamic.DiffResult(changes=olds["value"] != news["value"])

    class Thing(dynamic.Resource):
        value: pulumi.Output[str]

        def __init__(self, name, value, seconds=0):
            super().__init__(Provider(), name, {"value": value, "seconds": seconds})
"""


def test_program_runs_and_is_stable(project: MakeProject) -> None:
    program = (
        DYNAMIC
        + """
    thing = Thing("thing", pulumi.Config().require("word"))
    pulumi.export("value", thing.value)
    pulumi.export("where", pulumi.get_root_directory())
    pulumi.export("who", f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}")
    """
    )
    made = project({"__main__.py": program}, config="config:\n  p:word: ja\n")
    done = made.up()
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = json.loads(made.run("stack", "output", "--json").stdout)
    assert outputs == {"value": "ja", "where": str(made.folder), "who": "organization/p/t"}
    again = made.run("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    destroyed = made.run("destroy", "--yes", "--skip-preview")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr


def test_main_is_a_subfolder_and_the_working_directory(project: MakeProject) -> None:
    program = """
    import os, sys, pulumi
    import beside
    pulumi.export("pwd", os.getcwd())
    pulumi.export("word", beside.WORD)
    pulumi.export("root", pulumi.get_root_directory())
    """
    made = project({"program/__main__.py": program, "program/beside.py": "WORD = 'here'\n"}, main="program")
    done = made.up()
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = json.loads(made.run("stack", "output", "--json").stdout)
    assert outputs == {"pwd": str(made.folder / "program"), "word": "here", "root": str(made.folder)}


def test_main_is_a_file(project: MakeProject) -> None:
    made = project({"infra/app.py": "import pulumi\npulumi.export('ran', __file__)\n"}, main="infra/app.py")
    done = made.up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert made.run("stack", "output", "ran").stdout.strip().endswith("app.py")


def test_config_reaches_the_program_and_secrets_stay_secret(project: MakeProject) -> None:
    made = project({"__main__.py": "import pulumi\npulumi.export('s', pulumi.Config().require_secret('s'))\n"})
    assert made.run("config", "set", "--secret", "s", "hidden").returncode == 0
    done = made.up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hidden" not in done.stdout
    assert json.loads(made.run("stack", "output", "--json").stdout) == {"s": "[secret]"}


def test_exception_is_told_once(project: MakeProject) -> None:
    made = project({"__main__.py": "def f():\n    raise ValueError('boom')\nf()\n"})
    done = made.up()
    diagnostics = done.stdout.partition("Diagnostics:")[2]
    assert done.returncode != 0
    assert diagnostics.count("Traceback") == 1
    assert diagnostics.count("ValueError: boom") == 1
    assert "language-python-exec" not in diagnostics
    assert "non-zero exit code" not in done.stdout


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import sys\nprint('so far')\nsys.exit(5)\n", "program exited with non-zero exit code: 5"),
        ("import pulumi\nraise pulumi.RunError('sorry')\n", "error: sorry"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "program exited with non-zero exit code: -1"),
    ],
    ids=["exit", "run-error", "killed"],
)
def test_other_ends_are_errors(project: MakeProject, program: str, told: str) -> None:
    done = project({"__main__.py": program}).up()
    assert done.returncode != 0
    assert told in done.stdout


def test_missing_program_is_told_in_a_line(project: MakeProject) -> None:
    made = project({"README.md": ""})
    done = made.up()
    assert f"unable to find main python program `__main__.py` in `{made.folder}`" in done.stdout


def test_output_appears_while_the_program_runs(project: MakeProject) -> None:
    made = project({"__main__.py": "import time\nprint('early')\ntime.sleep(30)\n"})
    running = made.start_up()
    try:
        assert running.stdout is not None
        started = time.monotonic()
        assert any("early" in line for line in iter(running.stdout.readline, ""))
        assert time.monotonic() - started < 20
    finally:
        running.kill()
        running.communicate()


def test_environment_that_is_none_is_told_with_the_commands(project: MakeProject) -> None:
    made = project({"__main__.py": "", "env/keep": ""}, {"virtualenv": "env"})
    done = made.up()
    assert f'The \'virtualenv\' option in Pulumi.yaml is set to "env", but "{made.folder}/env"' in done.stderr
    assert f"python3 -m venv {made.folder}/env" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"toolchain": "conda"}, "unsupported toolchain option: conda"),
        ({"typechecker": "guess"}, "unsupported typechecker option: guess"),
    ],
    ids=["toolchain", "typechecker"],
)
def test_unknown_option_is_told(project: MakeProject, options: dict[str, str], told: str) -> None:
    done = project({"__main__.py": ""}, options).up()
    assert done.returncode != 0
    assert told in done.stderr + done.stdout


def test_typechecker_runs_before_the_program(project: MakeProject) -> None:
    made = project({"__main__.py": "x: int = 'text'\nprint('ran')\n"}, {"typechecker": "mypy"})
    done = made.up()
    assert done.returncode != 0
    assert "Incompatible types in assignment" in done.stdout
    assert "mypy failed" in done.stdout
    assert "ran" not in done.stdout.partition("Diagnostics:")[2].replace("Incompatible", "")


def test_about_names_python_and_plugins(project: MakeProject) -> None:
    made = project({"__main__.py": ""})
    told = json.loads(made.run("about", "--json").stdout)
    assert told["runtime"]["executable"] == str(VENV / "bin" / "python")
    versions = {plugin["name"]: plugin["version"] for plugin in told["plugins"]}
    assert versions["python"] == "3.255.0"
    assert versions["kubernetes"] == "4.34.2"


@needs_pypi
def test_uv_environment_is_found_upward_and_kept_in_step(project: MakeProject) -> None:
    files = {"program/__main__.py": "import sys, pulumi\npulumi.export('python', sys.executable)\n"}
    made = project(files, {"toolchain": "uv", "virtualenv": ".venv"}, main="program")
    pyproject = (
        '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["pulumi==3.255.0"{}]\n'
    )
    made.write({"pyproject.toml": pyproject.format("")})
    installed = made.run("install")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    done = made.up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert made.run("stack", "output", "python").stdout.strip() == str(made.folder / ".venv" / "bin" / "python")
    # A dependency that is added to the project is there at the next run, without another installation.
    made.write({"pyproject.toml": pyproject.format(', "tomli-w==1.2.0"'), "program/__main__.py": "import tomli_w\n"})
    again = made.up()
    assert again.returncode == 0, again.stdout + again.stderr
    told = json.loads(made.run("about", "--json").stdout)["dependencies"]
    assert {"name": "tomli-w", "version": "1.2.0"} in told
    assert {"name": "pulumi", "version": "3.255.0"} in told


@needs_pypi
def test_install_streams_and_fills_a_pip_environment(project: MakeProject) -> None:
    made = project({"__main__.py": "", "requirements.txt": "six==1.17.0\n"}, {"virtualenv": "env", "toolchain": "pip"})
    done = made.run("install")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Creating virtual environment..." in done.stdout
    assert "Finished installing dependencies" in done.stdout
    assert list(made.folder.glob("env/lib/python3*/site-packages/six.py"))


def test_interrupt_ends_quietly(project: MakeProject) -> None:
    made = project({"__main__.py": DYNAMIC + "    Thing('slow', 'x', 60)\n    print('waiting')\n    time.sleep(60)\n"})
    running = made.start_up()
    assert running.stdout is not None
    assert any("waiting" in line for line in iter(running.stdout.readline, ""))
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=30)
    assert running.returncode != 0
    assert "update canceled" in rest
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest
    assert _soon(lambda: not made.plugins()), made.plugins()


def test_killed_engine_leaves_no_process(project: MakeProject) -> None:
    made = project({"__main__.py": DYNAMIC + "    Thing('slow', 'x', 60)\n    print('waiting')\n"})
    running = made.start_up()
    assert running.stdout is not None
    assert any("waiting" in line for line in iter(running.stdout.readline, ""))
    assert _soon(lambda: any("pulumi.dynamic" in line for line in made.plugins()))
    running.kill()
    try:  # before anybody waits for the engine: in a container it may have no parent that does
        assert _soon(lambda: not made.plugins()), made.plugins()
    finally:
        running.communicate()
    assert made.run("cancel", "--yes").returncode == 0
    made.write({"__main__.py": ""})
    again = made.up()
    assert again.returncode == 0, again.stdout + again.stderr


def test_component_plugin_in_python_runs(project: MakeProject) -> None:
    component = """
    from typing import Optional, TypedDict
    import pulumi
    from pulumi.provider.experimental import component_provider_host

    class Args(TypedDict):
        word: pulumi.Input[str]

    class Echo(pulumi.ComponentResource):
        word: pulumi.Output[str]

        def __init__(self, name: str, args: Args, opts: Optional[pulumi.ResourceOptions] = None) -> None:
            super().__init__("echo:index:Echo", name, {}, opts)
            self.word = pulumi.Output.from_input(args["word"])
            self.register_outputs({"word": self.word})

    if __name__ == "__main__":
        component_provider_host(components=[Echo], name="echo", version="1.0.0")
    """
    runtime = f"runtime:\n  name: python\n  options:\n    toolchain: pip\n    virtualenv: {VENV}\n"
    made = project({"__main__.py": "", "plugin/PulumiPlugin.yaml": runtime, "plugin/__main__.py": component})
    schema = made.run("package", "get-schema", str(made.folder / "plugin"))
    assert schema.returncode == 0, schema.stderr
    assert "echo:index:Echo" in json.loads(schema.stdout)["resources"]


def test_generating_code_is_refused_by_name(project: MakeProject) -> None:
    made = project({"__main__.py": ""})
    done = made.run("convert", "--from", "pcl", "--language", "python", "--out", str(made.folder / "out"))
    assert done.returncode != 0
    assert "is not supported by this stand-in for pulumi-language-python" in done.stderr + done.stdout


def _soon(holds: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.2)
    return holds()
