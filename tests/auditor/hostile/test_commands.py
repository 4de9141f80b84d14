"""Command injection: a document fills parameters of a registered command with everything a shell would obey."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import CommandInterface
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.command import CommandPlugin
from cabc.interfaces.connections import CommandConnection, load_connections

from tests.support.retrieval import retrieve, spec, value

ECHO = "import sys, json; print(json.dumps(sys.argv[1:]))"


def connection(folder: Path, argv: list[str], *, enabled: bool = True, **keys: Any) -> CommandConnection:
    """Give a connection as it comes from a file, with the settings' switch."""
    template = {key: keys.pop(key) for key in ("parameters", "format") if key in keys}
    file = folder / "connections.yaml"
    settings = {"kind": "command", "commands": {"run": {"argv": argv, **template}}, **keys}
    file.write_text(json.dumps({"connections": {"jobs": settings}}))
    found = load_connections(file, commands=enabled)["jobs"]
    assert isinstance(found, CommandConnection)
    return found


def ask(**parameters: Any) -> CommandInterface:
    asked: CommandInterface = spec(
        CommandInterface, kind="command", connection="jobs", command="run", parameters=parameters
    )
    return asked


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def test_commands_are_off_until_the_operator_turns_them_on(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    off = connection(tmp_path, python(f"open({str(marker)!r}, 'w')"), enabled=False)
    with pytest.raises(RetrieveError, match="commands are off"):
        retrieve(CommandPlugin(), ask(), off)
    assert not marker.exists()
    with pytest.raises(RetrieveError, match="commands are off"):
        retrieve(CommandPlugin(), ask(), off.model_copy())


def test_only_registered_commands_run(tmp_path: Path) -> None:
    on = connection(tmp_path, python(ECHO))
    other = ask().model_copy(update={"command": "rm"})
    with pytest.raises(RetrieveError, match="no command"):
        retrieve(CommandPlugin(), other, on)


HOSTILE = [
    "; touch /tmp/owned",
    "$(id)",
    "`id`",
    "a && id",
    "a | id",
    "a\nid",
    "a b",
    "> /tmp/owned",
    "--output=/etc/passwd",
    "-rf",
    "../../etc/passwd",
    "/etc/passwd",
    "*",
    "a\x00b",
    "",
    "${HOME}",
    "{name}",
    "'",
    '"',
    "a" * 101,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_plain_word_is_refused(tmp_path: Path, text: str) -> None:
    on = connection(tmp_path, python(ECHO, "{name}"), parameters={"name": {}})
    with pytest.raises(RetrieveError):
        retrieve(CommandPlugin(), ask(name=text), on)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\x00" not in text and text and "${" not in text])
def test_even_with_a_pattern_that_allows_all_there_is_no_shell(tmp_path: Path, text: str) -> None:
    on = connection(tmp_path, python(ECHO, "--name={name}"), parameters={"name": {"pattern": "(?s).*"}})
    answer = retrieve(CommandPlugin(), ask(name=text), on)
    assert json.loads(answer.body) == [f"--name={text}"]


def test_a_parameter_does_not_become_an_option(tmp_path: Path) -> None:
    on = connection(tmp_path, python(ECHO, "{name}"), parameters={"name": {"pattern": ".*"}})
    with pytest.raises(RetrieveError, match="option"):
        retrieve(CommandPlugin(), ask(name="--help"), on)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("integer", "7"),
        ("integer", True),
        ("integer", 1.5),
        ("number", "1"),
        ("boolean", 1),
        ("boolean", "true"),
        ("string", 7),
    ],
)
def test_types_are_kept(tmp_path: Path, kind: str, wrong: object) -> None:
    on = connection(tmp_path, python(ECHO, "{n}"), parameters={"n": {"type": kind}})
    with pytest.raises(RetrieveError, match=kind):
        retrieve(CommandPlugin(), ask(n=wrong), on)


def test_unknown_and_missing_parameters_are_named(tmp_path: Path) -> None:
    on = connection(tmp_path, python(ECHO, "{n}"), parameters={"n": {"choices": ["a", "b"]}})
    with pytest.raises(RetrieveError, match=r"unknown m; missing n"):
        retrieve(CommandPlugin(), ask(m="a"), on)
    with pytest.raises(RetrieveError, match="allow"):
        retrieve(CommandPlugin(), ask(n="c"), on)
    assert retrieve(CommandPlugin(), ask(n="b"), on).body == b'["b"]\n'


def test_a_program_without_an_absolute_path_is_not_looked_for(tmp_path: Path) -> None:
    for argv in (["python3"], ["./x"], ["{n}"]):
        on = connection(tmp_path, argv)
        with pytest.raises(RetrieveError, match="absolute"):
            retrieve(CommandPlugin(), ask(), on)


def test_nothing_of_our_environment_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABC_SECRET", "s3cret")
    code = "import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('.')]))"
    on = connection(tmp_path, python(code), environment={"LANG": "C"}, format="json")
    body = retrieve(CommandPlugin(), ask(), on).body
    assert b"s3cret" not in body
    assert b"PATH" not in body
    assert b'"LANG": "C"' in body
    assert str(Path.cwd()).encode() not in body


def test_descriptors_of_ours_are_closed(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), False)
        on = connection(tmp_path, python("import os; print(len(os.listdir('/proc/self/fd')))"))
        assert int(retrieve(CommandPlugin(), ask(), on).body) <= 4


def gone(pid: int) -> bool:
    """Tell whether a process ended, within a moment."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_time_ends_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time;"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    on = connection(tmp_path, python(code), timeout=1.5)
    started = time.monotonic()
    with pytest.raises(RetrieveError, match=r"1\.5 s"):
        retrieve(CommandPlugin(), ask(), on)
    assert time.monotonic() - started < 30
    assert gone(int(note.read_text()))


def test_a_child_that_keeps_the_output_open_does_not_hold_us(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys;"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)"
    )
    started = time.monotonic()
    body = retrieve(CommandPlugin(), ask(), connection(tmp_path, python(code))).body
    assert time.monotonic() - started < 30
    assert gone(int(body))


def test_output_has_a_limit(tmp_path: Path) -> None:
    for code in ("while True: print('x' * 10000)", "import sys\nwhile True: sys.stdout.write('x' * 10000)"):
        on = connection(tmp_path, python(code), maxBytes=100_000)
        with pytest.raises(RetrieveError, match="larger than 100000"):
            retrieve(CommandPlugin(), ask(), on)


def test_endless_complaints_are_read_and_thrown_away(tmp_path: Path) -> None:
    code = "import sys\nfor _ in range(2000): sys.stderr.write('x' * 1000)\nprint(7)"
    assert value(CommandPlugin(), ask().model_copy(update={"cast": "numeric"}), connection(tmp_path, python(code))) == 7


def test_memory_files_and_time_of_the_processor_have_limits(tmp_path: Path) -> None:
    hungry = connection(tmp_path, python("x = bytearray(2_000_000_000); print(1)"), memoryBytes=500_000_000)
    with pytest.raises(RetrieveError, match="exit code 1"):
        retrieve(CommandPlugin(), ask(), hungry)
    busy = connection(tmp_path, python("while True: pass"), cpuSeconds=1)
    with pytest.raises(RetrieveError, match=r"signal SIG(KILL|XCPU)"):
        retrieve(CommandPlugin(), ask(), busy)
    wide = connection(tmp_path, python("open('f', 'wb').write(b'x' * 30_000_000)"))
    with pytest.raises(RetrieveError, match=r"exit code 1|SIGXFSZ"):
        retrieve(CommandPlugin(), ask(), wide)


def test_no_new_privileges(tmp_path: Path) -> None:
    code = "print([l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0].split()[1])"
    assert retrieve(CommandPlugin(), ask(), connection(tmp_path, python(code))).body == b"1\n"


def test_a_failure_is_one_safe_line_without_secrets(tmp_path: Path) -> None:
    code = "import sys; sys.exit('\\x1b[31mcannot open postgresql://u:hunter2@db')"
    with pytest.raises(RetrieveError, match="exit code 1: cannot open") as raised:
        retrieve(CommandPlugin(), ask(), connection(tmp_path, python(code)))
    assert "hunter2" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
