"""Whatever a file holds, loading it ends soon, in little memory, with a document or with problems.

`CABC_FUZZ_MINUTES=15 pytest tests/auditor/loading/test_fuzz.py` takes its time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cabc.document.problems import ProblemsError
from cabc.errors import CabcError
from cabc.loading import load_text
from cabc.loading.schema import schema_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "tests" / "auditor" / "data" / "broken"
MINUTES = float(os.environ.get("CABC_FUZZ_MINUTES", "0.1"))
KEYS = st.sampled_from(sorted({*re.findall(r'"([a-zA-Z]+)": [{]', schema_text())}))
WORDS = st.sampled_from(
    [
        *(
            "a",
            "high",
            "critical",
            "None",
            "all",
            "pinned",
            "../x",
            "/x",
            "$.a",
            "(a",
            "[",
            "sha256:0",
            "subject.version",
        ),
        *("numeric", "ordinal", "boolean", "string", "second", "parsec", "%", "P1D", "PT0S", "on-event", "auditee"),
        *("LessThan", "InRange", "EqualTo", "Matches", "WithinTolerance", "In", "self-assessment", "certification"),
        *("rest", "sql", "mlflow", "file", "log", "assessor", "manual", "kubernetes", "prometheus", "command"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)
MEASUREMENTS = st.fixed_dictionaries(
    {"id": WORDS, "dataType": WORDS, "comparison": WORDS, "target": VALUES},
    optional={"interface": VALUES, "unit": WORDS, "scale": VALUES, "tolerance": SCALARS, "frequency": WORDS},
)


def loaded(text: bytes) -> None:
    """Load; every problem is one line."""

    def nested(_held: object) -> bytes:
        return text

    try:
        load_text(text, "f", nested)
    except ProblemsError as error:
        problems = error.problems
    except CabcError:
        return
    else:
        return
    assert problems
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "\n" not in str(problem)


def document(dimensions: Any) -> dict[str, Any]:
    return {
        "conformitySpecification": {
            "id": "a",
            "version": 1,
            "mode": "self-assessment",
            "frequency": "P1D",
            "parties": [{"id": "a", "role": "auditee"}],
            "subject": {"name": "a"},
            "dimensions": dimensions,
        }
    }


BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@BOUNDED
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes(text: bytes) -> None:
    loaded(text)


@BOUNDED
@given(VALUES)
def test_any_data_as_a_document(value: object) -> None:
    loaded(yaml.safe_dump({"conformitySpecification": value}, allow_unicode=True).encode(errors="replace"))


@BOUNDED
@given(st.lists(MEASUREMENTS, min_size=1, max_size=3))
def test_any_measurement_in_a_good_document(measurements: list[Any]) -> None:
    metric = {"id": "m", "measurements": measurements}
    dimensions = [{"id": "d", "requirements": [{"id": "r", "severity": "high", "metrics": [metric]}]}]
    loaded(yaml.safe_dump(document(dimensions), allow_unicode=True).encode(errors="replace"))


@pytest.mark.timeout(MINUTES * 60 + 180)
def test_mutated_documents_in_a_process_of_256_mb(tmp_path: Path) -> None:
    """Also with CABC_FUZZ_MINUTES: guided by coverage where atheris is installed."""
    command = [sys.executable, str(ROOT / "auditor" / "fuzz" / "loader.py"), str(CORPUS), "--minutes", str(MINUTES)]
    seconds = MINUTES * 60 + 120
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        pytest.fail(f"{done.stdout}\n{done.stderr}")
