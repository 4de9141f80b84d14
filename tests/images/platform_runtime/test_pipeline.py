"""Compiled pipelines run by kfp's own local runner; what they did is told, and no step is left out silently.

Without postponed annotations: kfp reads those of the steps.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from platform_runtime.pipeline import Evidence, run

pytestmark = pytest.mark.filterwarnings("ignore")  # kfp's, which this project cannot mend


class Memory:
    """Remembers runs as MLflow would."""

    def __init__(self) -> None:
        self.finished: list[Evidence] = []

    def start(self, evidence: Evidence) -> str:
        return f"id-of-{evidence.run}"

    def finish(self, evidence: Evidence) -> None:
        self.finished.append(evidence)


def double(number: int) -> int:
    return 2 * number


def named(number: int) -> NamedTuple("Named", [("large", bool)]):  # type: ignore[valid-type]
    return (number > 1,)


def large(number: int) -> bool:
    return number > 1


def complain(number: int) -> int:
    msg = f"{number} is not what I wanted"
    raise ValueError(msg)


def environment() -> str:
    import os

    return os.environ["MLFLOW_RUN_ID"]


@pytest.fixture
def carry_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Evidence, list[dict[str, Any]]]]:
    from kfp import compiler

    # A run tells its steps by them; they are not for the servers of other tests.
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(variable, "")

    def carry_out(pipeline: Any, **arguments: Any) -> tuple[Evidence, list[dict[str, Any]]]:
        file, events = tmp_path / "pipeline.yaml", []
        compiler.Compiler().compile(pipeline, str(file))
        memory = Memory()
        evidence = run(file, arguments, name="run-1", root=tmp_path / "work", recorder=memory, tell=events.append)
        assert memory.finished == [evidence]
        return evidence, events

    return carry_out


def steps(*functions: Callable[..., Any]) -> list[Any]:
    from kfp import dsl

    return [dsl.component(base_image="python", install_kfp_package=False)(function) for function in functions]


def test_a_run_is_told_step_by_step(carry_out: Any) -> None:
    from kfp import dsl

    doubled, told = steps(double, environment)

    @dsl.pipeline(name="good")
    def good(number: int = 1) -> None:
        doubled(number=doubled(number=number).output)
        told()

    evidence, events = carry_out(good, number=4)
    assert evidence.status == "SUCCESS"
    assert [event["event"] for event in events] == ["start", *["task"] * 6]
    assert evidence.tasks[-1].parameters in ({"Output": 16}, {"Output": "id-of-run-1"})
    assert {"Output": "id-of-run-1"} in [task.parameters for task in evidence.tasks]
    assert evidence.summary()["tasks"]["double"] == "SUCCESS"


def test_a_condition_on_one_value_decides(carry_out: Any) -> None:
    from kfp import dsl

    decides, doubled = steps(large, double)

    @dsl.pipeline(name="decided")
    def decided(number: int) -> None:
        with dsl.If(decides(number=number).output == True):  # noqa: E712 (kfp builds a condition)
            doubled(number=number)

    assert [task.name for task in carry_out(decided, number=1)[0].tasks] == ["large"]
    assert [task.name for task in carry_out(decided, number=2)[0].tasks] == ["large", "double"]


def test_a_condition_on_a_named_output_is_refused(carry_out: Any) -> None:
    from kfp import dsl

    decides, doubled = steps(named, double)

    @dsl.pipeline(name="undecided")
    def undecided(number: int) -> None:
        with dsl.If(decides(number=number).outputs["large"] == True):  # noqa: E712 (kfp builds a condition)
            doubled(number=number)

    evidence, _ = carry_out(undecided, number=2)
    assert evidence.status == "FAILURE"
    assert "one value without a name" in evidence.reason


def test_a_failing_step_is_named_with_its_last_word(carry_out: Any) -> None:
    from kfp import dsl

    fails, doubled = steps(complain, double)

    @dsl.pipeline(name="bad")
    def bad(number: int) -> None:
        doubled(number=fails(number=number).output)

    evidence, events = carry_out(bad, number=3)
    assert evidence.status == "FAILURE"
    assert evidence.reason == "complain: ValueError: 3 is not what I wanted"
    assert events[-1]["status"] == "FAILURE"
    assert [task.name for task in evidence.tasks] == ["complain"]
