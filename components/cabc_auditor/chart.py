"""The Helm chart, made from the same functions as the component: `python -m components.cabc_auditor.chart`.

Templates and files below charts/cabc-auditor are written by this; Chart.yaml, values.yaml and README.md by people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from components._core import paths
from components._core.component import labels
from components._core.config import Resources
from components.cabc_auditor import objects, rules, settings
from components.cabc_auditor.config import CabcAuditorConfig
from components.cabc_auditor.objects import NAME, PARTS, REGISTRY_HOOK, Values
from components.cabc_auditor.settings import SPECIFICATIONS

__all__ = ["FOLDER", "files", "write"]

FOLDER = paths.CHECKOUT / "charts" / "cabc-auditor"

MADE = "{{- /* Made by `python -m components.cabc_auditor.chart`. */}}\n"

NAMESPACE = "{{ .Release.Namespace }}"

HELPERS = """\
{{- define "cabc-auditor.settings" -}}
{{- $documents := list -}}
{{- range $file := keys .Values.specifications | sortAlpha -}}
{{- $documents = append $documents (printf "SPECIFICATIONS/%s" $file) -}}
{{- end -}}
{{- toJson (mergeOverwrite (fromJson `SETTINGS`) (dict "documents" $documents
  "service" (dict "watchInferenceServices" .Values.models.namespaces)) .Values.settings) -}}
{{- end -}}

{{- define "cabc-auditor.connections" -}}
{{- toJson (dict "connections" (mergeOverwrite (fromJson `CONNECTIONS`) .Values.connections)) -}}
{{- end -}}

{{- define "cabc-auditor.publicKeyItems" -}}
{{- $items := list -}}
{{- range $file := keys .Values.publicKeys | sortAlpha -}}
{{- $items = append $items (dict "key" $file "path" (printf "keys/%s" $file)) -}}
{{- end -}}
{{- toJson $items -}}
{{- end -}}

{{- define "cabc-auditor.digest" -}}
{{- list .Values.settings .Values.connections .Values.publicKeys .Values.specifications .Values.documents
  .Values.secretsRevision | toJson | sha256sum | trunc 16 -}}
{{- end -}}
"""


class _Expression(str):
    """What Helm puts in place of a whole value: JSON, which is YAML."""

    __slots__ = ()


def _expression(text: str) -> Any:
    return _Expression(f"{{{{ {text} }}}}")


def _value(path: str) -> Any:
    return _expression(f".Values.{path} | toJson")


class _Dumper(yaml.SafeDumper):
    """Writes expressions as they are, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the parent's signature)
        return True


def _represent(dumper: yaml.SafeDumper, expression: _Expression) -> yaml.Node:
    # A plain scalar may not begin with a brace; this mark is taken off again when all is written.
    return dumper.represent_scalar("tag:yaml.org,2002:str", f"EXPRESSION{expression}EXPRESSION", style="'")


_Dumper.add_representer(_Expression, _represent)


def files() -> dict[str, str]:
    """Return the text of every made file of the chart, by its path in it."""
    values = Values(
        namespace=NAMESPACE,
        image=_expression('required "image: the reference of an image made from images/cabc" .Values.image | toJson'),
        job_name=_job_name,
        resources=Resources.model_construct(
            cpu=_value("resources.cpu"),
            memory=_value("resources.memory"),
            cpu_limit=_value("resources.cpuLimit"),
            memory_limit=_value("resources.memoryLimit"),
        ),
        reads_evidence=_value("apiToken"),
        settings=_expression('include "cabc-auditor.settings" . | toJson'),
        connections=_expression('include "cabc-auditor.connections" . | toJson'),
        public_keys=_value("publicKeys"),
        public_key_items=_expression('include "cabc-auditor.publicKeyItems" .'),
        specifications=_value("specifications"),
        specification_sources=[{"configMap": {"name": f"{NAME}-specifications"}}],
        documents=_value("documents"),
        digest=_expression('include "cabc-auditor.digest" . | toJson'),
        storage=_value("storage"),
        storage_class=_value("storageClass"),
        verify=_value("verify"),
    )
    found = {
        "templates/_helpers.tpl": _helpers(),
        "rules.json": json.dumps([group.spec() for group in rules.groups()], indent=1) + "\n",
        "registry_hook.py": REGISTRY_HOOK.read_text(),
        "templates/monitoring.yaml": _template(_monitoring(values), unless_empty="metrics.namespace"),
    }
    everybody: dict[str, dict[str, Any]] = {}
    for processes, parts in PARTS.items():
        collector = next(part for part in parts if part.collects)
        made = objects.auditor(values, parts)
        own = {name: made.pop(name) for name in list(made) if name.rpartition("-")[2] in {part.role for part in parts}}
        everybody = made
        access = objects.access(values, collector, _expression("$namespace | toJson"))
        hook = objects.registry_hook(
            values,
            collector,
            registry=_value("registry.url"),
            script=_expression('.Files.Get "registry_hook.py" | toJson'),
        )
        for file, manifests, needed in (("processes", own, None), ("registry", hook, "registry.url")):
            found[f"templates/{processes}/{file}.yaml"] = _template(manifests, unless_empty=needed, processes=processes)
        each = _template(access, unless_empty="models.namespaces", processes=processes, each="namespace")
        found[f"templates/{processes}/access.yaml"] = each
    found["templates/auditor.yaml"] = _template(everybody)
    return found


def _job_name(name: str, made: Mapping[str, Any]) -> str:
    """Name a Job by what the templates make it of and by the values that are filled in."""
    # The script stands in `made` as an expression, so what it says is added.
    made_of = objects.job_name(name, made, REGISTRY_HOOK.read_text()).rpartition("-")[2]
    filled = ["image", "secretsRevision", *(["registry.url"] if name == "subscribe" else [])]
    inputs = [f'"{made_of}"', ".Release.Namespace"]
    inputs += [f".Values.{value}" for value in filled]
    return f"{NAME}-{name}-{{{{ list {' '.join(inputs)} | toJson | sha256sum | trunc 8 }}}}"


def write() -> None:
    """Write the made files."""
    for name, text in files().items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _helpers() -> str:
    config = CabcAuditorConfig()
    plain = json.loads(settings.settings(config, dict.fromkeys(settings.TOKENS, ""), watch=()))
    # Who may come in is for the installation to say, and so are what is audited and where it is served.
    del plain["service"]["tokens"], plain["service"]["watchInferenceServices"], plain["documents"]
    connections = json.loads(settings.connections({}, {}))["connections"]
    return MADE + HELPERS.replace("SPECIFICATIONS", SPECIFICATIONS).replace("SETTINGS", json.dumps(plain)).replace(
        "CONNECTIONS", json.dumps(connections)
    )


def _monitoring(values: Values) -> dict[str, dict[str, Any]]:
    selector = _expression(f"mergeOverwrite (fromJson `{json.dumps(_labels())}`) .Values.metrics.labels | toJson")
    return {
        "monitor": objects.monitor(values, namespace=_value("metrics.namespace"), selector=selector),
        "rules": {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": selector},
            "spec": {"groups": _expression('.Files.Get "rules.json" | fromJsonArray | toJson')},
        },
    }


def _labels() -> dict[str, str]:
    return {**labels(NAME), "app.kubernetes.io/managed-by": "Helm"}


def _template(
    manifests: Mapping[str, dict[str, Any]],
    *,
    unless_empty: str | None = None,
    processes: str | None = None,
    each: str | None = None,
) -> str:
    """Write objects under their conditions; with `each`, once for every item of the list that must not be empty."""
    text = yaml.dump_all(
        [_managed(manifest) for _, manifest in sorted(manifests.items())],
        Dumper=_Dumper,
        sort_keys=False,
        width=10_000,
    )
    # Quotes inside a quoted scalar are doubled; expressions have none of this kind.
    text = text.replace("'EXPRESSION", "").replace("EXPRESSION'", "")
    if each:
        text = text.replace("{{ .", "{{ $.")
        text = f"{{{{- range ${each} := .Values.{unless_empty} }}}}\n---\n{text}{{{{- end }}}}\n"
    conditions = [f'(eq .Values.processes "{processes}")'] if processes else []
    conditions += [f".Values.{unless_empty}"] if unless_empty else []
    if not conditions:
        return MADE + text
    return f"{MADE}{{{{- if and {' '.join(conditions)} }}}}\n{text}{{{{- end }}}}\n"


def _managed(manifest: Any) -> Any:
    """Return the manifest with the label of who manages it as Helm has it."""
    if isinstance(manifest, Mapping):
        return {
            key: "{{ .Release.Service }}" if key == "app.kubernetes.io/managed-by" else _managed(value)
            for key, value in manifest.items()
        }
    if isinstance(manifest, list | tuple):
        return [_managed(value) for value in manifest]
    return manifest


if __name__ == "__main__":
    write()
