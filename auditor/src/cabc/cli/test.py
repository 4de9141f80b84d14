"""`cabc test`: unit tests of a specification."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cabc.cli._common import JsonOption
from cabc.cli._runs import document_of
from cabc.errors import CabcError

if TYPE_CHECKING:
    from cabc.engine.cases import CaseResult

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("test")(run)


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="Conformity specification.")],
    tests: Annotated[
        Path | None, typer.Argument(metavar="TESTS", help="File of tests; SPEC's name with .tests.yaml when not given.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write a JUnit XML report here.")] = None,
    *,
    json_: JsonOption = False,
) -> None:
    """Test a specification: given values must lead to the expected verdicts and status. Nothing is retrieved."""
    file = tests or spec.with_suffix(".tests.yaml")
    results = _results(spec, file)
    failed = [each for each in results if each.failures]
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(_junit(file, results))
    if json_:
        body = [{"name": each.name, "passed": not each.failures, "failures": each.failures} for each in results]
        typer.echo(json.dumps({"passed": not failed, "tests": body}, indent=2, ensure_ascii=False))
    else:
        _print(results)
    if failed:
        raise typer.Exit(1)


def _results(spec: Path, file: Path) -> list[CaseResult]:
    from cabc.document.source import read
    from cabc.engine.cases import CaseResult, SpecificationTests, run_case

    document = document_of(spec)
    try:
        text = file.read_bytes()
    except OSError as error:
        msg = f"{file}: {(error.strerror or 'cannot be read').lower()}"
        raise CabcError(msg, fix="name the file of tests: cabc test SPEC TESTS") from error
    suite = read(SpecificationTests, text, str(file))
    results = []
    for case in suite.tests:
        started = time.perf_counter()
        try:
            failures = run_case(document, suite, case)
        except CabcError as error:
            msg = f"{file}: test {case.name!r}: {error}"
            raise CabcError(msg, fix=error.fix) from error
        results.append(CaseResult(case.name, failures, time.perf_counter() - started))
    return results


def _print(results: list[CaseResult]) -> None:
    from cabc.text import one_line

    for each in results:
        typer.echo(f"{'✖' if each.failures else '✔'} {one_line(each.name)}")
        for line in each.failures:
            typer.echo(f"    {one_line(line, limit=500)}")
    failed = sum(bool(each.failures) for each in results)
    typer.echo(f"{len(results) - failed} of {len(results)} tests passed")


def _junit(file: Path, results: list[CaseResult]) -> bytes:
    from xml.etree import ElementTree as ET

    from cabc.text import one_line

    failed = sum(bool(each.failures) for each in results)
    name = one_line(file.name)
    suite = ET.Element("testsuite", name=name, tests=str(len(results)), failures=str(failed), errors="0")
    for each in results:
        attributes = {"classname": name, "name": one_line(each.name), "time": f"{each.seconds:.6f}"}
        case = ET.SubElement(suite, "testcase", attributes)
        if each.failures:
            text = "\n".join(one_line(line, limit=500) for line in each.failures)
            ET.SubElement(case, "failure", message=one_line(each.failures[0], limit=500)).text = text
    body: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return body
