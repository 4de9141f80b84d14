"""What a card says, in the order in which it is read, apart from how it is written down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.card.gather import Gathered

__all__ = ["Card", "Section", "build"]

FAIRNESS = {
    "disparate_impact_ratio": "disparate impact ratio",
    "equalized_odds_difference": "equalized odds difference",
    "smallest_group": "rows of the smallest group",
}
"""Metrics of a run that are about one attribute, by the beginning of their name."""

NOTHING = "(nothing)"


@dataclass(frozen=True)
class Section:
    """One part of a card: text, then points, then a table. What is empty is left out."""

    title: str
    text: str = ""
    points: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Card:
    """A card for readers."""

    title: str
    lead: str
    sections: Sequence[Section]


def build(found: Gathered) -> Card:
    """Write the card of one version."""
    declared, model = found.facts["declared"], found.version
    return Card(
        title=f"{declared['title']}, version {model.version}",
        lead=declared["overview"],
        sections=[*_declared(found), *_measured(found), *_later(found)],
    )


def _declared(found: Gathered) -> Iterator[Section]:
    declared, model = found.facts["declared"], found.version
    yield Section(
        "Model",
        declared["architecture"],
        header=("what", "value"),
        rows=[
            ("registered model", model.name),
            ("version", model.version),
            ("aliases", ", ".join(model.aliases) or NOTHING),
            ("run", model.run_id),
            ("trained", _instant(found.run["info"].get("end_time"))),
            ("code version", found.facts["model"]["codeVersion"]),
            ("digest of the artefact", model.tags.get("digest", NOTHING)),
            ("owner", declared["owner"]),
            ("licence", declared["license"]),
        ],
    )
    yield Section("Intended use", points=declared["intendedUse"])
    yield Section("Users", points=declared["users"])
    yield Section("Out of scope", points=declared["outOfScope"])
    yield Section("Human oversight", declared["oversight"])
    yield Section("Limitations", points=declared["limitations"])
    yield Section("Ethics", points=declared["ethics"])


def _measured(found: Gathered) -> Iterator[Section]:
    data, metrics = found.facts["data"], found.facts["metrics"]
    rows = data["rows"]
    yield Section(
        "Data",
        f"{data['name']}. {data['reference']}.",
        header=("what", "value"),
        rows=[
            ("collected", data["collected"]),
            ("rows learnt from", str(rows["training"])),
            ("rows held out", str(rows["evaluation"])),
            ("features", ", ".join(data["features"])),
            ("protected, never features", ", ".join(data["attributes"])),
            ("sha256 of the data", data["sha256"]),
        ],
    )
    of_groups = {
        attribute: {kind: metrics.get(f"{kind}_{attribute}") for kind in FAIRNESS} for attribute in data["attributes"]
    }
    told = {f"{kind}_{attribute}" for attribute in of_groups for kind in FAIRNESS}
    yield Section(
        "Performance on held-out rows",
        header=("metric", "value"),
        rows=[(name, _number(value)) for name, value in metrics.items() if name not in told],
    )
    yield Section(
        "Fairness on held-out rows",
        "A disparate impact ratio below 0.8 is commonly taken as unfair (the four-fifths rule). The fewer rows the "
        "smallest group has, the less a figure says.",
        header=("protected attribute", *FAIRNESS.values()),
        rows=[(name, *(_number(value) for value in kinds.values())) for name, kinds in of_groups.items()],
    )


def _later(found: Gathered) -> Iterator[Section]:
    if found.monitoring is None:
        yield Section("In operation", found.unmonitored)
    else:
        yield Section(
            "In operation",
            "The latest report of the model monitor.",
            header=("what", "value"),
            rows=list(_flat(found.monitoring)),
        )
    if found.conformity is None:
        yield Section("Conformity", found.unaudited)
        return
    status = found.conformity
    failing = status.get("failingRequirements") or []
    yield Section(
        "Conformity",
        _about(found, status),
        points=[f"Not satisfied: {path}" for path in failing],
        header=("what", "value"),
        rows=[
            ("status", str(status["status"])),
            ("since", str(status.get("since") or NOTHING)),
            ("assessed", str(status.get("assessed") or NOTHING)),
            ("assessment", str(status.get("assessment") or NOTHING)),
            (
                "specification",
                f"{status.get('specification') or NOTHING} version {status.get('specificationVersion') or NOTHING}",
            ),
            ("digest of the specification", str(status.get("specificationDigest") or NOTHING)),
        ],
    )


def _about(found: Gathered, status: Mapping[str, Any]) -> str:
    """Say whose status it is: the auditor follows an alias, and that may have moved on."""
    audited = status.get("version")
    if audited == found.version.version:
        return ""
    return f"What follows is about version {audited or NOTHING}: version {found.version.version} is not audited now."


def _flat(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return the single values of a report, named by their place; long lists (bins, rows) are not for readers."""
    for key, value in report.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, bool) or value is None or isinstance(value, str):
            yield name, NOTHING if value is None else str(value)
        elif isinstance(value, int | float):
            yield name, _number(value)


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return str(int(value)) if float(value).is_integer() and abs(value) > 1 else f"{value:.4f}"


def _instant(milliseconds: Any) -> str:
    if not milliseconds:
        return NOTHING
    return dt.datetime.fromtimestamp(int(milliseconds) / 1000, dt.UTC).isoformat(timespec="seconds")
