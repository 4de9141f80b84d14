"""What watches a platform in memory: the prediction log and the model monitor, as far as the loop asks them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from examples.loan_approval.pipeline import ATTRIBUTES, FEATURES, LABEL
from tests.support.loop import FakePlatform
from tests.support.loop_parts import Part

__all__ = ["HELD_OUT", "MonitorPart", "PredictionLogPart", "Watched", "held_out"]

HELD_OUT = "evaluation/held-out.json"


def held_out(rows: int = 60) -> dict[str, Any]:
    """Return rows as a run keeps them: incomes rise, one in five is black, of one in ten the sex is not known."""
    columns = [*FEATURES, LABEL, *ATTRIBUTES]
    data = []
    for number in range(rows):
        row = dict.fromkeys(FEATURES, 0.0) | {"appinc": float(number), "loanamt": 100.0 + number}
        row |= {LABEL: float(number % 10 != 0), "black": float(number % 5 == 0), "hispan": float(number % 7 == 0)}
        row |= {"male": None if number % 10 == 3 else float(number % 2)}
        data.append([row[name] for name in columns])
    return {"columns": columns, "data": data}


class PredictionLogPart(Part):
    """Has every request that came with an id, as it was answered."""

    name = "prediction-log"

    def __init__(self) -> None:
        self.truths: list[dict[str, Any]] = []
        self.lost: set[int] = set()
        """Which requests never arrive, by their number."""

        self.change: Callable[[dict[str, Any]], None] = lambda _known: None
        """What is wrong with what is kept."""

    def said(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Any:
        del query
        if path == "/v1/truths":
            self.truths += body
            return {"accepted": len(body)}
        request_id = path.removeprefix("/v1/predictions/")
        if request_id not in platform.answered or list(platform.answered).index(request_id) in self.lost:
            return None
        rows, answer = platform.answered[request_id]
        outputs = answer.json()["predictions"]
        known = {
            "request_id": request_id,
            "model": "loan-approval",
            "version": answer.headers["x-model-version"],
            "run_id": answer.headers["x-model-run-id"],
            "digest": answer.headers["x-model-digest"],
            "status": 200,
            "answered_at": "2026-11-30T12:00:00Z",
            "rows": [
                {"row": number, "inputs": dict(inputs), "output": output}
                for number, (inputs, output) in enumerate(zip(rows, outputs, strict=True))
            ],
        }
        self.change(known)
        return known


class MonitorPart(Part):
    """Measures what the prediction log has, by lists and sums."""

    name = "model-monitor"

    def __init__(self, log: PredictionLogPart) -> None:
        self.log = log
        self.reference_rows = 498
        self.change: Callable[[dict[str, Any]], None] = lambda _report: None
        """What is wrong with a report."""

    def said(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Any:
        del query
        assert path == "/v1/run"
        report = self.report(platform, body["version"])
        self.change(report)
        return {"reports": [report] if report["rows"] else []}

    def report(self, platform: FakePlatform, version: str) -> dict[str, Any]:
        """Return the report about all requests that a version answered."""
        mine = {
            key: rows
            for key, (rows, answer) in platform.answered.items()
            if answer.headers["x-model-version"] == version
        }
        known = [
            (
                platform.answered[truth["request_id"]][1].json()["predictions"][truth["row"]][-1] > 0.5,
                truth["value"] == 1,
                truth["attributes"],
            )
            for truth in self.log.truths
            if truth["request_id"] in mine
        ]
        return {
            "rows": sum(map(len, mine.values())),
            "labelled_rows": len(known),
            "reference_rows": self.reference_rows,
            "drift_share": 0.0,
            "features": [],
            "performance": self._performance(known) if known else {},
            "fairness": {name: self._fairness(known, name) for name in ATTRIBUTES} if known else {},
        }

    @staticmethod
    def _performance(known: list[tuple[bool, bool, dict[str, Any]]]) -> dict[str, float]:
        chosen = [true for said, true, _ in known if said]
        good = [said for said, true, _ in known if true]
        right = sum(said == true for said, true, _ in known)
        return {
            "accuracy": right / len(known),
            "precision": sum(chosen) / len(chosen),
            "recall": sum(good) / len(good),
        }

    @staticmethod
    def _fairness(known: list[tuple[bool, bool, dict[str, Any]]], attribute: str) -> dict[str, Any]:
        shares = []
        for group in (0.0, 1.0):
            mine = [said for said, _, attributes in known if attributes.get(attribute) == group]
            shares.append(sum(mine) / len(mine))
        return {"figures": {"disparate_impact_ratio": {"value": min(shares) / max(shares)}}}


class Watched(FakePlatform):
    """Serves a model that approves of whoever earns enough, and says what it does to whoever watches."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.collector = PredictionLogPart()
        self.monitor = MonitorPart(self.collector)
        self.watching = [self.collector, self.monitor]
        self.artefacts = {HELD_OUT: held_out()}
        self.exported = True

    def outputs(self, rows: list[dict[str, Any]]) -> list[Any]:
        return [[0.1, 0.9] if row.get("appinc", 0.0) > 12 else [0.8, 0.2] for row in rows]

    def _prometheus(self, path: str, query: Any) -> Any:
        expression = query.get("query", "")
        if not expression.startswith("model_"):
            return super()._prometheus(path, query)
        version = re.search(r'version="(\w+)"', expression)
        report = self.monitor.report(self, version[1] if version else "")
        metric = re.search(r'metric="(\w+)"', expression)
        found = report["performance"].get(metric[1]) if metric else report["labelled_rows"]
        samples = [{"metric": {}, "value": [0, repr(float(found))]}] if self.exported and found is not None else []
        return {"data": {"result": samples}}
