"""The parts that need no API server: values on the wire, quantities, paths, JSONPath, field managers, the journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.plugins.kubernetes_provider import config, kinds, wire
from mlops.plugins.kubernetes_provider.diff import Op, compare, parse_path, path_text, without_ignored
from mlops.plugins.kubernetes_provider.errors import ApiError, ProviderError
from mlops.plugins.kubernetes_provider.fields import handed_over, needs_hand_over, owned_by
from mlops.plugins.kubernetes_provider.immutable import immutable_paths
from mlops.plugins.kubernetes_provider.journal import Journal
from mlops.plugins.kubernetes_provider.objects import Kind
from mlops.plugins.kubernetes_provider.quantities import canonical
from mlops.plugins.kubernetes_provider.readiness.conditions import wait_for
from mlops.plugins.kubernetes_provider.readiness.jsonpath import JsonPathError, compile_path
from mlops.plugins.kubernetes_provider.state import prune
from mlops.plugins.kubernetes_provider.wire import Secret, Unknown
from tests.support.kubernetes_objects import config_map

UNKNOWN = Unknown("04da6b54-80e4-46f7-96ec-b56ff0331ba9")

_LEAVES = st.one_of(st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=8))
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.builds(Secret, inner),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), _TREES, max_size=4))
def test_values_survive_the_wire(values: dict[str, Any]) -> None:
    assert wire.decode(wire.encode(values)) == values


def test_unknowns_survive_the_wire_and_nulls_do_not() -> None:
    sent = wire.encode({"a": UNKNOWN, "b": None, "c": {"d": None, "e": [1, None]}, "f": 1.5})
    assert wire.decode(sent) == {"a": UNKNOWN, "c": {"e": [1, None]}, "f": 1.5}


def test_secrecy_is_copied_place_by_place_and_lists_are_secret_as_a_whole() -> None:
    given_inputs = {"a": Secret(1), "b": {"c": Secret(2)}, "d": [1, Secret(2)], "gone": Secret(3)}
    live = {"a": 1, "b": {"c": 2, "x": 0}, "d": [1, 2, 3], "y": 0}
    assert wire.mark_secrets(live, given_inputs) == {
        "a": Secret(1),
        "b": {"c": Secret(2), "x": 0},
        "d": Secret([1, 2, 3]),
        "y": 0,
    }


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"), ("0.5", "500m"), (1, "1"), (0.25, "250m"), ("100m", "100m"), ("1500", "1500"), ("2000", "2k"),
        ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.5Mi", "512Ki"), ("512", "512"), ("1Ki", "1Ki"), ("0", "0"),
        ("0.1n", "1n"), ("-1000m", "-1"), ("1G", "1G"), ("1000Mi", "1000Mi"),
        ("words", None), ("", None), ("1e3", None),
    ],
)  # fmt: skip
def test_quantity_is_spelt_as_the_server_stores_it(written: Any, stored: str | None) -> None:
    assert canonical(written) == stored


@given(st.integers(0, 10**7), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi"]))
def test_canonical_quantity_is_canonical(number: int, suffix: str) -> None:
    once = canonical(f"{number}{suffix}")
    assert once is not None
    assert canonical(once) == once


@pytest.mark.parametrize("text", ["a", "a.b", "a[0].b", 'a["b.c/d"]', 'metadata.annotations["x\\"y"].z'])
def test_path_is_read_as_it_is_written(text: str) -> None:
    assert path_text(parse_path(text)) == text


def test_path_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ValueError, match="failed to parse ignore path"):
        parse_path("a[b")


def test_ignored_paths_cover_what_is_below_them() -> None:
    changes = compare({"a": {"b": 1, "c": [{"d": 1}]}}, {"a": {"b": 2, "c": [{"d": 2}]}}, ())
    assert [change.text for change in without_ignored(changes, ["a.b"])] == ["a.c[0].d"]
    assert [change.text for change in without_ignored(changes, ["a.c[*].d"])] == ["a.b"]
    assert without_ignored(changes, ["a"]) == []


def test_change_of_an_unknown_value_is_a_change() -> None:
    assert [(c.text, c.op) for c in compare({"a": 1}, {"a": UNKNOWN, "b": UNKNOWN}, ())] == [
        ("a", Op.UPDATE),
        ("b", Op.ADD),
    ]


def test_true_is_not_one() -> None:
    assert compare({"a": 1}, {"a": True}, ())
    assert not compare({"a": 1.0}, {"a": 1}, ())


def test_live_object_is_pruned_to_the_shape_of_the_inputs() -> None:
    live = {"a": 1, "b": [{"x": 1, "y": 2}, {"x": 3}], "c": {"d": 1}, "e": [1, 2, 3]}
    assert prune(live, {"a": 0, "b": [{"x": 0}], "c": {}, "e": [0, 0]}) == {
        "a": 1,
        "b": [{"x": 1}],
        "c": {},
        "e": [1, 2],
    }


def test_what_an_apply_would_take_away_is_kept() -> None:
    live = {"a": [{"x": 1, "y": 2}], "b": [{"x": 1, "y": 2}], "c": [1, 2], "d": {"k": 1, "l": 2}, "e": {"k": 1, "l": 2}}
    shape = {"a": [{"x": 1}], "b": [{"x": 1}], "c": [1], "d": {"k": 1}, "e": {"k": 1}}
    applied = {"a": [{"x": 1}], "b": [{"x": 1, "y": 2}], "c": [1], "d": {"k": 1}, "e": {"k": 1, "l": 2}}
    assert prune(live, shape, applied) == {
        "a": [{"x": 1, "y": 2}],
        "b": [{"x": 1}],
        "c": [1, 2],
        "d": {"k": 1, "l": 2},
        "e": {"k": 1},
    }


def test_validation_that_says_immutable_marks_the_paths_it_names() -> None:
    def invalid(*causes: tuple[str, str]) -> ApiError:
        told = [{"field": field, "message": message} for field, message in causes]
        return ApiError(422, {"details": {"causes": told}})

    changed = [("spec", "a"), ("spec", "b", 0)]
    immutable = "Invalid value: 1: field is immutable"
    assert immutable_paths(invalid(("spec.a", immutable)), changed) == [("spec", "a")]
    assert (
        immutable_paths(invalid(("spec", "Forbidden: spec is immutable after creation except x")), changed) == changed
    )
    assert immutable_paths(invalid(("spec.other", immutable)), changed) == changed
    assert immutable_paths(invalid(("spec.a", immutable), ("spec.b", "Invalid value: too long")), changed) == []
    assert immutable_paths(ApiError(500), changed) == []


DOCUMENT = {
    "status": {
        "phase": "Running",
        "replicas": 3,
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Live", "status": "False", "weight": 2}],
    },
    "metadata": {"labels": {"app.kubernetes.io/name": "x"}},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("{.status.phase}", ["Running"]),
        ("$.status.phase", ["Running"]),
        (".status.phase", ["Running"]),
        ("status['phase']", ["Running"]),
        ("{.status.conditions[0].type}", ["Ready"]),
        ("{.status.conditions[-1].type}", ["Live"]),
        ("{.status.conditions[*].type}", ["Ready", "Live"]),
        ("{.status.conditions[0:1].type}", ["Ready"]),
        ('{.status.conditions[?(@.type=="Ready")].status}', ["True"]),
        ("$.status.conditions[?@.weight > 1 && @.status == 'False'].type", ["Live"]),
        ("$.status.conditions[?!@.weight || @.weight == 9].type", ["Ready"]),
        ("$..type", ["Ready", "Live"]),
        (r"{.metadata.labels.app\.kubernetes\.io/name}", ["x"]),
        ("$.metadata.labels['app.kubernetes.io/name']", ["x"]),
        ("{.status.nothing}", []),
        ("{.status.phase.deeper}", []),
    ],
)
def test_jsonpath_finds(path: str, found: list[Any]) -> None:
    assert compile_path(path)(DOCUMENT) == found


@pytest.mark.parametrize("path", ["{.a[}", "{.a..}", "$.a[?@.b ~ 1]", "$.a[b]"])
def test_jsonpath_that_is_not_understood_is_an_error(path: str) -> None:
    with pytest.raises(JsonPathError, match="JSONPath"):
        compile_path(path)


@pytest.mark.parametrize(
    ("expression", "done"),
    [
        ("condition=Ready", True),
        ("condition=ready", True),
        ("condition=Live", False),
        ("condition=Live=False", True),
        ("condition=Missing", False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath='{.status.phase}'=Running", True),
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.phase}=Pending", False),
        ("jsonpath={.status.replicas}=3", True),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("jsonpath={.status.nothing}", False),
        ('["condition=Ready", "condition=Live"]', False),
        ('["condition=Ready", "condition=Live=False"]', True),
    ],
)
def test_wait_for(expression: str, *, done: bool) -> None:
    assert wait_for(expression)(DOCUMENT).done is done


def test_condition_of_an_older_generation_does_not_count() -> None:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
    old = {"metadata": {"generation": 2}, "status": {"conditions": [ready]}}
    verdict = wait_for("condition=Ready")(old)
    assert not verdict.done
    assert "not yet for this generation" in verdict.status


@pytest.mark.parametrize("expression", ["ready", "[]", "condition", "jsonpath={.a[}"])
def test_wait_for_that_makes_no_sense_is_an_error(expression: str) -> None:
    with pytest.raises(ProviderError, match="waitFor"):
        wait_for(expression)


def _entry(manager: str, operation: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def test_fields_of_creation_and_kubectl_are_handed_over_and_status_is_not() -> None:
    status = _entry("kubectl-edit", "Update", {"f:status": {}}, subresource="status")
    entries = [
        _entry("pulumi-kubernetes", "Update", {"f:data": {"f:a": {}}}),
        _entry("kubectl-patch", "Update", {"f:data": {"f:b": {}}}),
        _entry("ours", "Apply", {"f:metadata": {"f:labels": {}}}),
        _entry("controller", "Update", {"f:spec": {}}),
        status,
    ]
    live = {"metadata": {"managedFields": entries}}
    assert needs_hand_over(live, "ours")
    ours, *rest = handed_over(live, "ours")
    assert (ours["manager"], ours["operation"]) == ("ours", "Apply")
    assert ours["fieldsV1"] == {"f:metadata": {"f:labels": {}}, "f:data": {"f:a": {}, "f:b": {}}}
    assert rest == [entries[3], status]
    assert not needs_hand_over({"metadata": {"managedFields": [ours, *rest]}}, "ours")
    assert owned_by({"metadata": {"managedFields": [ours, *rest]}}, ("data", "a"), "ours") == (True, False)
    assert owned_by({"metadata": {"managedFields": [ours, *rest]}}, ("spec",), "ours") == (False, True)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("kubernetes:core/v1:Secret", Kind("", "v1", "Secret")),
        ("kubernetes:apps/v1:Deployment", Kind("apps", "v1", "Deployment")),
        ("kubernetes:networking.k8s.io/v1:Ingress", Kind("networking.k8s.io", "v1", "Ingress")),
        (
            "kubernetes:serving.kserve.io/v1beta1:InferenceService",
            Kind("serving.kserve.io", "v1beta1", "InferenceService"),
        ),
    ],
)
def test_token_names_a_kind(token: str, kind: Kind) -> None:
    assert kinds.from_token(token) == kind
    assert kinds.type_of(f"urn:pulumi:s::p::a:b:Parent${token}::name") == token
    kinds.refuse_unsupported(token, kind.kind)


def test_custom_kind_that_is_called_list_or_patch_is_not_refused() -> None:
    kinds.refuse_unsupported("kubernetes:example.org/v1:AllowList", "AllowList")
    kinds.refuse_unsupported("kubernetes:example.org/v1:SecurityPatch", "SecurityPatch")


def test_kubeconfig_files_are_merged_the_first_to_name_something_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, server in (("a", "https://a"), ("b", "https://b")):
        cluster = f"clusters: [{{name: k, cluster: {{server: '{server}'}}}}]\n"
        context = f"contexts: [{{name: {name}, context: {{cluster: k, namespace: ns-{name}}}}}]\n"
        (tmp_path / name).write_text(f"current-context: {name}\n{cluster}{context}")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'b'}:{tmp_path / 'missing'}")
    found = config.settings({"context": "b"})
    assert (found.namespace, config.server_of(found)) == ("ns-b", "https://a")
    assert config.settings({"context": "c"}).unusable.endswith('context "c" does not exist')


def _live(obj: dict[str, Any], created: datetime) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ")}}


def test_journal_claims_only_what_was_created_after_its_entry(tmp_path: Path) -> None:
    now, obj = datetime.now(UTC), config_map("ns", "cm")
    Journal(tmp_path, "https://a").begin("urn", obj)
    later = Journal(tmp_path, "https://a")
    assert later.name("urn") == "cm"
    assert later.began("urn", _live(obj, now))
    assert not later.began("urn", _live(obj, now - timedelta(minutes=1)))
    assert not later.began("urn", _live(config_map("ns", "other"), now))
    assert not later.began("another urn", _live(obj, now))
    assert not Journal(tmp_path, "https://b").began("urn", _live(obj, now))
    later.stored("urn", "cm")
    assert not later.began("urn", _live(obj, now))


def test_journal_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file", "")
    journal.begin("urn", config_map("ns", "cm"))
    assert journal.name("urn") == ""
