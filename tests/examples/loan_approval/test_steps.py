"""The steps of the pipeline, carried out on the real data: what they keep with a version, and what `unfair` does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from platform_runtime import model_card
from platform_runtime.model_monitor import profile

from examples.loan_approval import pipeline

pytestmark = pytest.mark.filterwarnings("ignore")
"""MLflow's own database layer and model flavour warn; what is asserted here is what the steps put out."""


@dataclass
class Artifact:
    """Stands for an artefact of kfp: a path and metadata."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


@dataclass
class Trained:
    """What the steps up to `evaluate` put out."""

    sha256: str
    passes: bool
    artifacts: dict[str, Artifact]

    @property
    def metrics(self) -> dict[str, float]:
        return self.artifacts["metrics"].metadata


def train(folder: Path, *, unfair: bool) -> Trained:
    names = ("data", "valid", "model", "seen", "held_out", "metrics")
    made = {name: Artifact(str(folder / name)) for name in names}
    common: dict[str, Any] = {"features": pipeline.FEATURES}
    _, sha256 = pipeline.read(made["data"])
    pipeline.validate(**common, attributes=pipeline.ATTRIBUTES, data=made["data"], valid=made["valid"])
    outputs = {name: made[name] for name in ("valid", "model", "seen", "held_out")}
    pipeline.train(**common, seed=0, unfair=unfair, **outputs)
    passes = pipeline.evaluate(
        **common,
        attributes=pipeline.ATTRIBUTES,
        min_accuracy=pipeline.ARGUMENTS["min_accuracy"],
        min_auc=pipeline.ARGUMENTS["min_auc"],
        **{name: made[name] for name in ("model", "held_out", "metrics")},
    )
    return Trained(sha256, passes, made)


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("fair"), unfair=False)


@pytest.fixture(scope="module")
def unfair(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("unfair"), unfair=True)


def test_both_models_pass_the_gate(fair: Trained, unfair: Trained) -> None:
    assert fair.passes
    assert unfair.passes


def test_the_fair_model_keeps_the_four_fifths_rule_for_every_attribute(fair: Trained) -> None:
    ratios = {name: fair.metrics[f"disparate_impact_ratio_{name}"] for name in pipeline.ATTRIBUTES}
    assert min(ratios.values()) >= 0.9, ratios


def test_the_unfair_model_breaks_it_for_whom_it_was_prejudiced_against(unfair: Trained) -> None:
    assert unfair.metrics["disparate_impact_ratio_black"] < 0.8
    assert unfair.metrics["disparate_impact_ratio_male"] >= 0.8


def test_both_learn_from_the_same_rows_and_are_measured_on_the_same(fair: Trained, unfair: Trained) -> None:
    for name in ("seen", "held_out"):
        mine, other = (pd.read_parquet(each.artifacts[name].path) for each in (fair, unfair))
        pd.testing.assert_frame_equal(mine, other)


def test_what_people_are_protected_for_is_never_seen_by_the_model(unfair: Trained) -> None:
    import joblib

    fitted = joblib.load(unfair.artifacts["model"].path)
    assert list(fitted.feature_names_in_) == pipeline.FEATURES


def test_a_row_of_an_unknown_group_is_valid_and_a_group_that_cannot_be_is_not(tmp_path: Path) -> None:
    data = Artifact(str(tmp_path / "data"))
    pipeline.read(data)
    frame = pd.read_csv(data.path)
    assert frame["male"].isna().any()
    frame.loc[0, "black"] = 2.0
    frame.to_csv(data.path, index=False)
    with pytest.raises(Exception, match="black"):
        pipeline.validate(
            features=pipeline.FEATURES,
            attributes=pipeline.ATTRIBUTES,
            data=data,
            valid=Artifact(str(tmp_path / "valid")),
        )


@dataclass
class Registered:
    """A version in a registry of its own."""

    version: Any
    run: Any
    documents: dict[str, Any]
    aliases: dict[str, str]


@pytest.fixture(scope="module")
def registered(fair: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("loans", artifact_location=str(folder / "artifacts")))
    made = {name: fair.artifacts[name] for name in ("model", "seen", "held_out", "metrics")}
    told = pipeline.register(
        name=pipeline.MODEL,
        features=pipeline.FEATURES,
        attributes=pipeline.ATTRIBUTES,
        card=pipeline.CARD,
        seed=0,
        data_sha256=fair.sha256,
        code_version="unknown",
        **made,
    )
    version, run_id = told[0], told[1]
    client = mlflow.MlflowClient()
    documents = {
        path: mlflow.artifacts.load_dict(f"runs:/{run_id}/{path}")
        for path in (profile.PATH, model_card.FACTS, "evaluation/held-out.json")
    }
    aliases = client.get_registered_model(pipeline.MODEL).aliases
    yield Registered(client.get_model_version(pipeline.MODEL, version), client.get_run(run_id), documents, aliases)
    mlflow.set_tracking_uri(None)


def test_a_version_has_the_profile_it_is_watched_by(registered: Registered, fair: Trained) -> None:
    found = profile.Profile.from_json(registered.documents[profile.PATH])
    assert found.rows == fair.metrics["held_out_rows"]
    assert [feature.name for feature in found.features] == pipeline.FEATURES
    assert set(found.attributes) == set(pipeline.ATTRIBUTES)
    assert found.performance["accuracy"] == pytest.approx(fair.metrics["accuracy"])


def test_profile_and_metrics_agree_on_fairness(registered: Registered, fair: Trained) -> None:
    found = profile.Profile.from_json(registered.documents[profile.PATH])
    figure = found.fairness["black"].figures["disparate_impact_ratio"]
    assert figure.value == pytest.approx(fair.metrics["disparate_impact_ratio_black"])
    assert figure.low < figure.value < figure.high


def test_anybody_can_measure_again_on_the_held_out_rows(registered: Registered, fair: Trained) -> None:
    kept = registered.documents["evaluation/held-out.json"]
    frame = pd.DataFrame(kept["data"], columns=kept["columns"]).astype(float)
    original = pd.read_parquet(fair.artifacts["held_out"].path)
    assert list(frame.columns) == list(original.columns)
    np.testing.assert_array_equal(frame.to_numpy(), original.to_numpy())
    model = mlflow.pyfunc.load_model(f"models:/{pipeline.MODEL}/{registered.version.version}")
    approved = np.asarray(model.predict(frame[pipeline.FEATURES]))[:, 1] > 0.5
    assert float((approved == (frame["approve"] == 1)).mean()) == fair.metrics["accuracy"]


def test_the_run_names_both_data_sets(registered: Registered) -> None:
    used = {entry.tags[0].value: json.loads(entry.dataset.profile) for entry in registered.run.inputs.dataset_inputs}
    assert {context: told["num_rows"] for context, told in used.items()} == {"training": 1491, "evaluation": 498}


def test_the_card_says_what_people_declared_and_what_was_measured(registered: Registered, fair: Trained) -> None:
    facts = registered.documents[model_card.FACTS]
    assert facts["model"]["version"] == str(registered.version.version)
    assert facts["declared"]["limitations"] == pipeline.CARD["limitations"]
    assert facts["data"]["sha256"] == fair.sha256
    assert facts["data"]["rows"] == {"training": 1491, "evaluation": 498}
    assert facts["metrics"] == pytest.approx(fair.metrics)


def test_a_card_that_does_not_say_what_a_card_needs_is_refused() -> None:
    silent = {**pipeline.CARD, "limitations": []}
    with pytest.raises(model_card.CardError, match="does not say limitations"):
        model_card.facts(silent, "loan-approval", "1", "r", "c", data={}, metrics={})


def test_a_version_is_the_candidate_that_the_auditor_looks_at(registered: Registered) -> None:
    assert registered.aliases == {"candidate": registered.version.version, "champion": registered.version.version}
