"""The reference page of the operator's connections, made from the models: `python -m cabc.loading.connections`."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cabc.interfaces import connections as models
from cabc.interfaces.base import Connection
from cabc.loading.reference import _section

__all__ = ["connections_page"]

_KINDS: tuple[type[Connection], ...] = (
    models.RestConnection,
    models.PrometheusConnection,
    models.MlflowConnection,
    models.FileConnection,
    models.SqlConnection,
    models.LogConnection,
    models.KubernetesConnection,
    models.CommandConnection,
    models.AssessorConnection,
)
_PARTS: tuple[type[BaseModel], ...] = (
    models.BearerAuth,
    models.BasicAuth,
    models.HeaderAuth,
    models.CommandTemplate,
    models.Parameter,
)
_HEAD = """# Connections reference

Made by `python -m cabc.loading.connections` from the models in `auditor/src/cabc/interfaces/connections.py`.

`connections.yaml` in the auditor's home belongs to the operator. A document names a connection; addresses, credentials
and limits stand here and nowhere else. Mistakes are shown with line and column, like those of a document.

```yaml
connections:
  mlflow: {kind: mlflow, url: "https://mlflow.example", auth: {type: bearer, token: "env:MLFLOW_TOKEN"}}
  prometheus: {kind: prometheus, url: "http://prometheus.monitoring:9090", network: internal}
  model-docs: {kind: file, root: /srv/model-docs}
  features:
    kind: sql
    url: postgresql+psycopg://reader@db.internal/features
    password: file:/run/secrets/reader
    queries: {missing_rate: "SELECT avg((income IS NULL)::int) FROM applicants"}
    stored_only: true
```

- **Credentials** are references, `env:NAME` or `file:PATH`; a credential written out is a mistake. They are sent to the
  connection's own address only, never over plain HTTP to a public one, and are taken out of answers that repeat them.
- **`network`** says where the host may be: `public` (global addresses only), `internal` (private ones as well) or
  `loopback` (this machine only). Instance metadata, link-local, multicast and unspecified addresses are refused always.
- **Relative paths**, those of `file:` and `sqlite:///` too, count from the folder of the file.
- **Limits** are the operator's: a longer `timeout` in a document changes nothing. What is larger than `maxBytes` is an
  error, never cut off. A piece of evidence has at most 1,000,000 bytes in any case.
- **`redact`** patterns (RE2) are applied before evidence is hashed and stored, besides built-in ones for bearer tokens,
  JSON web tokens, AWS and code-host keys, private key blocks and passwords in URLs.

# Kinds
"""


def connections_page() -> str:
    """Return the page."""
    everything: list[Any] = [(model, "validation") for model in (*_KINDS, *_PARTS)]
    schema = models_json_schema(everything)[1]
    definitions = json.loads(json.dumps(schema["$defs"]).replace('"oneOf"', '"anyOf"'))
    lines = [_HEAD.rstrip()]
    for kind in _KINDS:
        lines += _section(kind, definitions)
    lines += ["", "# Parts", *[line for part in _PARTS for line in _section(part, definitions)]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(connections_page(), end="")  # noqa: T201 (a page for standard output)
