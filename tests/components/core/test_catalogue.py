"""Components are ordered by what they need; what cannot be ordered is told in one line that names both sides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components._core import catalogue
from components._core.component import Component
from components._core.contracts import Contract, KubernetesCluster, ObjectStore, SqlDatabase
from components._core.errors import (
    CyclicNeedsError,
    DoubledProviderError,
    MissingProviderError,
    UnknownComponentError,
)


def fake(
    *,
    requires: tuple[type[Contract], ...] = (),
    uses: tuple[type[Contract], ...] = (),
    provides: tuple[type[Contract], ...] = (),
) -> type[Component[Any]]:
    return type("Fake", (), {"requires": requires, "uses": uses, "provides": provides})


CLUSTER = fake(provides=(KubernetesCluster,))
DATABASE = fake(requires=(KubernetesCluster,), provides=(SqlDatabase,))
CONSUMER = fake(requires=(KubernetesCluster, SqlDatabase))


@given(st.permutations(["cluster", "database", "consumer"]))
def test_order_does_not_depend_on_how_the_form_is_written(keys: list[str]) -> None:
    classes = {"cluster": CLUSTER, "database": DATABASE, "consumer": CONSUMER}
    found = catalogue.order_classes({key: classes[key] for key in keys})
    assert found == ["cluster", "database", "consumer"]


def test_what_is_used_comes_first_when_it_is_there() -> None:
    user = fake(uses=(SqlDatabase,))
    assert catalogue.order_classes({"user": user, "cluster": CLUSTER, "database": DATABASE})[-1] == "user"
    assert catalogue.order_classes({"user": user}) == ["user"]


def test_missing_provider_names_both_sides_and_the_line_to_add() -> None:
    with pytest.raises(MissingProviderError) as caught:
        catalogue.order_classes({"cluster": CLUSTER, "consumer": CONSUMER})
    assert "consumer" in str(caught.value)
    assert "SqlDatabase" in str(caught.value)
    assert "`postgres: {}`" in caught.value.fix


def test_two_providers_are_named() -> None:
    with pytest.raises(DoubledProviderError, match="first and second, both providing KubernetesCluster"):
        catalogue.order_classes({"first": CLUSTER, "second": CLUSTER})


def test_circle_is_drawn() -> None:
    one = fake(requires=(ObjectStore,), provides=(SqlDatabase,))
    other = fake(requires=(SqlDatabase,), provides=(ObjectStore,))
    with pytest.raises(CyclicNeedsError) as caught:
        catalogue.order_classes({"one": one, "other": other})
    assert " → " in caught.value.found
    assert caught.value.keys[0] == "components"


def test_unknown_component_gets_the_closest_name() -> None:
    with pytest.raises(UnknownComponentError, match="write mlflow"):
        catalogue.order(["mlfow"])
