"""Feed the loader with mutated documents until time is up: no crash, no hang, no more than 256 MB.

`python auditor/fuzz/loader.py --minutes 15 tests/auditor/data/broken`

Where atheris is installed it guides the mutations by coverage (`uv pip install atheris` beside `cabc`); otherwise they
are random. The first input that breaks a rule is written to the working folder and ends the run with an error.
"""  # noqa: INP001 (a script, no package)

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Never

MEGABYTES = 256
SECONDS = 20
LONGEST = 20_000
TOKENS = [
    *"[]{}:,-?&*!|>#%@`'\"\n\t\\ ",
    *(
        "\n  ",
        "- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "<<",
        "---\n",
        "...\n",
        "!!str ",
        "!!python/object:",
        "%YAML 1.2\n",
        "|\n",
    ),
    *(".nan", "-.inf", "1e999", "0x1F", "~", "null", "yes", "true", '"\\ud83d', "\\u202e", "\\x00", "9" * 30),
    *("id: ", "version: ", "mode: ", "kind: ", "interface: ", "target: ", "dimensions: ", "metrics: ", "document: "),
    *("regex: ", "jsonpath: ", "pointer: ", "frequency: ", "dataType: ", "comparison: ", "unit: ", "scale: ", "min: "),
    *(
        "(a+)+",
        "(?<=a)",
        "$..a[?(@.b)]",
        "$[",
        "/~2",
        "../",
        "P1D",
        "PT0S",
        "61 * * * *",
        "on-event",
        "sha256:",
        "None",
    ),
    *(
        "ordinal",
        "InRange",
        "WithinTolerance",
        "Matches",
        "subject.version",
        "${subject.x}",
        "\ud7ff",
        "\ufeff",
        "\x85",
    ),
]


def load(text: bytes) -> None:
    """Load a document; anything but success or a CabcError is a bug."""
    from cabc.document.model import NestedDocument
    from cabc.document.problems import ProblemsError
    from cabc.errors import CabcError
    from cabc.loading import load_text

    def nested(held: NestedDocument) -> bytes:
        return text if held.path.endswith("self.yaml") else b""

    try:
        load_text(text, "fuzz.yaml", nested)
    except ProblemsError as error:
        lines = text.count(b"\n") + text.count(b"\r") + text.count(b"\xc2\x85") + text.count(b"\xe2\x80") + 1
        for problem in error.problems:
            if "\n" in str(problem) or not 1 <= problem.line <= lines + 1:
                msg = f"a problem is no line, or lies outside the file: {problem}"
                raise AssertionError(msg) from error
    except CabcError:
        return


def mutated(text: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return a text with a few changes: tokens put in, parts cut out, doubled or taken from another text."""
    data = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 10))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 2, 5, 20, 200)))
        match chance.randrange(6):
            case 0:
                data[at:at] = chance.choice(TOKENS).encode(errors="replace")
            case 1:
                data[at:end] = chance.choice(TOKENS).encode(errors="replace")
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 4:
                data[at:end] = bytes([chance.randrange(256)])
            case _:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                data[at:end] = other[start : start + chance.choice((5, 50, 500))]
    return bytes(data[:LONGEST])


def bounded() -> None:
    """Give the process its limits: memory, and time for each input."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES << 20, MEGABYTES << 20))

    def late(_signal: int, _frame: FrameType | None) -> Never:
        msg = f"an input took more than {SECONDS} s"
        raise AssertionError(msg)

    signal.signal(signal.SIGALRM, late)


def at_random(corpus: list[bytes], seconds: float, seed: int) -> int:
    """Mutate until time is up; the number of inputs."""
    chance = random.Random(seed)  # noqa: S311 (test inputs)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        text = mutated(chance.choice(corpus), corpus, chance)
        signal.alarm(SECONDS)
        try:
            load(text)
        except BaseException:
            crash = Path(f"crash-{seed}-{number}.yaml")
            crash.write_bytes(text)
            sys.stderr.write(f"broken by {crash.absolute()}\n")
            raise
        finally:
            signal.alarm(0)
        number += 1
    return number


def by_coverage(corpus: list[bytes], seconds: float) -> None:
    """Let atheris choose the inputs; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["cabc"]):
        load(b"")
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(corpus):
            Path(folder, f"seed-{number}").write_bytes(text)
        words = Path(folder, "tokens.dict")
        escaped = ("".join(map("\\x{:02x}".format, token.encode(errors="replace"))) for token in TOKENS)
        words.write_text("".join(f'"{token}"\n' for token in escaped))
        limits = [f"-max_total_time={seconds:.0f}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}"]
        atheris.Setup([sys.argv[0], *limits, f"-max_len={LONGEST}", f"-dict={words}", folder], load)
        atheris.Fuzz()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("corpus", type=Path, help="folder with documents to begin with")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--random", action="store_true", help="without coverage, even where atheris is installed")
    given = parser.parse_args()
    corpus = [path.read_bytes()[:LONGEST] for path in sorted(given.corpus.rglob("*")) if path.is_file()]
    if not given.random:
        try:
            import atheris  # noqa: F401 (only whether it is there)
        except ImportError:
            sys.stderr.write("atheris is not installed; inputs are random\n")
        else:
            by_coverage(corpus, given.minutes * 60)
            return
    load(b"")
    bounded()
    number = at_random(corpus, given.minutes * 60, given.seed)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{number} documents, seed {given.seed}: no crash, no hang, {used} MB\n")


if __name__ == "__main__":
    main()
