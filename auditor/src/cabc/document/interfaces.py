"""How a value is retrieved. A document names a connection of the operator, never an address or a credential.

The module of a plugin's entry point imports nothing that needs `model`, which is made of the plugins' interfaces.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from cabc.document.base import Digest, Model, Name, Slug
from cabc.document.durations import Duration

__all__ = [
    "CORE",
    "AssessorInterface",
    "CommandInterface",
    "FileInterface",
    "InterfaceSpec",
    "KubernetesInterface",
    "LogInterface",
    "ManualInterface",
    "MlflowInterface",
    "PrometheusInterface",
    "RestInterface",
    "SqlInterface",
]

Query = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Reduce = Literal["min", "max", "sum", "mean", "count", "first", "last"]


class InterfaceSpec(Model):
    """What every kind of interface has.

    A plugin subclasses it with a `kind: Literal["..."]` of its own and is found by entry point `cabc.interfaces`.
    """

    kind: str
    """Kind of interface; decides which other keys there are."""

    cast: Literal["numeric", "boolean", "string"] | None = None
    """Turn the retrieved text into this type first; without it "0.9" is text and never a number."""


class Extracting(InterfaceSpec):
    """An interface whose answer is a text or document of which one place is the value. At most one of the three."""

    pointer: str | None = None
    """JSON pointer (RFC 6901) into a JSON or YAML answer; "" is the whole."""

    jsonpath: str | None = None
    """JSONPath (RFC 9535); must select exactly one node unless `reduce` is given."""

    regex: str | None = None
    """RE2 pattern with one group, searched in the text."""

    reduce: Reduce | None = None
    """How several selected values become one."""


class RestInterface(Extracting):
    """An HTTP endpoint below the connection's base address."""

    kind: Literal["rest"]
    connection: Slug
    """Name of the operator's connection."""
    path: RelativePath
    """Path below the connection's base address, beginning with a slash."""
    query: dict[str, str] = {}
    """Query parameters."""


class CommandInterface(Extracting):
    """A command that the operator registered; off unless the operator turns commands on."""

    kind: Literal["command"]
    connection: Slug
    command: Slug
    """Name of the command in the operator's connection."""
    parameters: dict[Slug, str | int | float | bool] = {}
    """Values for the parameters that the operator declared."""


class SqlInterface(InterfaceSpec):
    """A query with one row and one column as its answer, run read-only."""

    kind: Literal["sql"]
    connection: Slug
    query: Query
    """One SELECT statement, or the name of a query that the operator stored in the connection."""
    parameters: dict[str, str | int | float | bool] = {}
    """Bound parameters (`:name` in the statement)."""


class FileInterface(Extracting):
    """A file below the connection's root folder: JSON, YAML, CSV, Parquet or text."""

    kind: Literal["file"]
    connection: Slug
    path: RelativePath
    format: Literal["json", "yaml", "csv", "parquet", "text"] | None = None
    """Taken from the file's suffix when not given."""
    column: str | None = None
    """Column of a CSV or Parquet file; several rows need `reduce`."""


class PrometheusInterface(InterfaceSpec):
    """An instant query. An empty answer is an error, never zero."""

    kind: Literal["prometheus"]
    connection: Slug
    query: Query
    """PromQL that gives one sample."""
    reduce: Reduce | None = None
    """How several samples become one; without it more than one sample is an error."""


class MlflowInterface(InterfaceSpec):
    """A fact about the subject's model version or its run: exactly one of metric, param, tag, field, artifact."""

    kind: Literal["mlflow"]
    connection: Slug
    metric: str | None = None
    """Latest value of this metric of the run."""
    param: str | None = None
    """Parameter of the run; text unless `cast`."""
    tag: str | None = None
    """Tag of the model version or else of the run."""
    field: Literal["version", "runId", "status", "stage", "source", "aliases"] | None = None
    """Field of the model version."""
    artifact: RelativePath | None = None
    """JSON artifact of the run; `pointer` selects the value."""
    pointer: str | None = None
    """JSON pointer into the artifact."""


class KubernetesInterface(InterfaceSpec):
    """A field of an object in the cluster."""

    kind: Literal["kubernetes"]
    connection: Slug
    api_version: str = "serving.kserve.io/v1beta1"
    """Group and version of the object."""
    resource: str
    """Plural resource, for example `inferenceservices`."""
    namespace: str | None = None
    """Namespace of the object; the subject's when not given."""
    name: str | None = None
    """Name of the object; the subject's InferenceService when not given."""
    jsonpath: str
    """JSONPath to the value."""


class LogInterface(InterfaceSpec):
    """Lines of a log file, or of a Loki-compatible log service, that match a pattern."""

    kind: Literal["log"]
    connection: Slug
    path: RelativePath | None = None
    """Log file below the connection's root folder."""
    query: Query | None = None
    """LogQL stream selector, when the connection is a log service."""
    regex: str
    """RE2 pattern; with a group its last match is the value, with `reduce: count` the number of matching lines is."""
    reduce: Reduce | None = None
    since: Duration | None = None
    """Only lines with a timestamp this young count."""


class ManualInterface(InterfaceSpec):
    """A person's attestation, recorded with `cabc attest`, valid until it expires."""

    kind: Literal["manual"]
    question: Name
    """What the person attests."""


class AssessorInterface(Extracting):
    """Another party's answer: a value to compare here, or a signed result to take over."""

    kind: Literal["assessor"]
    connection: Slug
    path: RelativePath = "/"
    returns: Literal["value", "result"]
    """`value` is compared here; `result` is a DSSE-signed verdict of that party."""
    spec_digest: Digest | None = None
    """Digest of that party's specification; a result for any other is refused. Required for `result`."""


CORE: tuple[type[InterfaceSpec], ...] = (
    RestInterface,
    CommandInterface,
    SqlInterface,
    FileInterface,
    PrometheusInterface,
    MlflowInterface,
    KubernetesInterface,
    LogInterface,
    ManualInterface,
    AssessorInterface,
)
"""The kinds that come with the auditor."""
