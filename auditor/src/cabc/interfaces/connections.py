"""The operator's connections: where backends are, with which credentials and within which limits.

A document only names a connection. Addresses, credentials and root folders stand here and nowhere else.
"""

from __future__ import annotations

import os
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, StringConstraints, create_model, model_validator

from cabc.document.base import Model, Slug
from cabc.document.durations import Duration
from cabc.interfaces.base import Connection, RetrieveError
from cabc.patterns import compile_pattern

__all__ = [
    "AssessorConnection",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "CommandConnection",
    "CommandTemplate",
    "FileConnection",
    "FilePath",
    "HeaderAuth",
    "HttpConnection",
    "KubernetesConnection",
    "LogConnection",
    "MlflowConnection",
    "Network",
    "OptionalPath",
    "Parameter",
    "PrometheusConnection",
    "RestConnection",
    "Secret",
    "SqlConnection",
    "load_connections",
    "reveal",
]

M = TypeVar("M", bound=BaseModel)

_PATH = object()
"""Marks a field whose relative path counts from the folder of the connections file."""


def _base_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "must begin with http:// or https:// and name a host"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment or "\\" in url:
        msg = "must be an address alone: credentials go to `auth`, by reference; no query, no fragment"
        raise ValueError(msg)
    return url.rstrip("/")


def _without_password(url: str) -> str:
    if not url.startswith(("env:", "file:")) and urlsplit(url).password:
        msg = "must have no password: give it as `password`, by reference, or the whole address by reference"
        raise ValueError(msg)
    return url


def _pattern(pattern: str) -> str:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        msg = f"is no RE2 pattern: {error}"
        raise ValueError(msg) from error
    return pattern


Secret = Annotated[str, StringConstraints(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$")]
"""Where a credential is: `env:NAME` or `file:PATH`; never the credential."""

FilePath = Annotated[str, _PATH, Field(min_length=1)]
OptionalPath = Annotated[str | None, _PATH]
Pattern = Annotated[str, AfterValidator(_pattern)]
Network = Literal["public", "internal", "loopback"]
"""Which addresses the host may resolve to: global ones; private ones as well; this machine's own only."""


def reveal(secret: str) -> str:
    """Return the credential that a reference names; RetrieveError, which names the reference, when it is not there."""
    where, _, name = secret.partition(":")
    if where == "env":
        value = os.environ.get(name, "")
    else:
        try:
            value = Path(name).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError):
            value = ""
    if not value:
        msg = f"the credential {secret} is not there or empty"
        raise RetrieveError(msg)
    return value


class BearerAuth(Model):
    """`Authorization: Bearer …`."""

    type: Literal["bearer"]
    token: Secret
    """Where the token is."""


class BasicAuth(Model):
    """User name and password."""

    type: Literal["basic"]
    username: Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f]+$")]
    """Name of the user, without a colon."""
    password: Secret
    """Where the password is."""


class HeaderAuth(Model):
    """A header of its own, for example `X-Api-Key`."""

    type: Literal["header"]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")]
    """Name of the header."""
    value: Secret
    """Where its value is."""


Auth = Annotated[BearerAuth | BasicAuth | HeaderAuth, Field(discriminator="type")]


class _Connection(Connection):
    redact: list[Pattern] = []
    """RE2 patterns; what they match is replaced before evidence is hashed and stored."""


class HttpConnection(_Connection):
    """A backend that speaks HTTP."""

    url: Annotated[str, AfterValidator(_base_address)]
    """Base address. Nothing above its path is ever asked for, and no redirect is followed."""
    network: Network = "public"
    """Which addresses the host may have."""
    auth: Auth | None = None
    """Credential by reference; sent to this address only, and never over plain HTTP to a public one."""
    ca_file: OptionalPath = None
    """Certificate authorities (PEM) in place of the system's."""

    @model_validator(mode="after")
    def _no_credential_in_the_open(self) -> HttpConnection:
        if self.auth and self.url.startswith("http://") and self.network == "public":
            msg = "a credential over plain HTTP needs `network: internal` or `network: loopback`, or an https address"
            raise ValueError(msg)
        return self


class RestConnection(HttpConnection):
    """An HTTP service."""

    kind: Literal["rest"]
    paths: list[str] = ["/"]
    """Beginnings of the paths that documents may ask for."""


class PrometheusConnection(HttpConnection):
    """Prometheus, Thanos, Mimir or VictoriaMetrics."""

    kind: Literal["prometheus"]
    query_timeout: float = 10.0
    """Seconds after which the server gives up a query."""
    max_range: Duration = "P7D"
    """Longest range that a query may read."""


class MlflowConnection(HttpConnection):
    """An MLflow tracking server with its registry."""

    kind: Literal["mlflow"]
    max_artifact_bytes: int = 2_000_000_000
    """Bytes of all files of a model that are read to compute its digest."""


class FileConnection(_Connection):
    """A folder."""

    kind: Literal["file"]
    root: FilePath
    """Nothing outside is read, and no symbolic link below is followed."""
    max_file_bytes: int = 100_000_000
    """Size of a CSV or Parquet file, of which only one column is kept."""


class KubernetesConnection(_Connection):
    """A cluster's API server; objects are read one at a time, by name."""

    kind: Literal["kubernetes"]
    kubeconfig: OptionalPath = None
    """Kubeconfig file; the usual one when not given."""
    context: str | None = None
    """Context of the kubeconfig; its current one when not given."""
    in_cluster: bool = False
    """Use the service account of the Pod that the auditor runs in."""
    network: Network = "internal"
    """Which addresses the API server may have."""
    resources: list[str] = ["inferenceservices", "deployments", "networkpolicies", "servingruntimes"]
    """Plural names that documents may read. Secrets are refused even when named here."""
    namespaces: list[str] = []
    """Namespaces that documents may read; all that the credential may when empty."""


class Parameter(Model):
    """A typed parameter of a command."""

    type: Literal["string", "integer", "number", "boolean"] = "string"
    """Type that the value has in the document."""
    pattern: Pattern = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
    """RE2 pattern that the whole text of the value must match."""
    choices: list[str] = []
    """The only values allowed, when given."""


class CommandTemplate(Model):
    """A command as a list of arguments; `{name}` stands for a parameter, inside one argument."""

    argv: Annotated[list[str], Field(min_length=1)]
    """The program by its absolute path, then its arguments. No shell ever sees them."""
    parameters: dict[Slug, Parameter] = {}
    """What a document may fill in, and within which bounds."""
    format: Literal["text", "json"] = "text"
    """How the output is read."""


class CommandConnection(_Connection):
    """Commands that the operator registered. Usable only when `commands: true` stands in the settings."""

    kind: Literal["command"]
    commands: dict[Slug, CommandTemplate]
    """Commands by the name that documents use."""
    environment: dict[str, str] = {}
    """The whole environment; nothing of the auditor's own is passed on."""
    cpu_seconds: int = 20
    """Time of the processor that a command may use."""
    memory_bytes: int = 1_000_000_000
    """Memory that each process of a command may have."""
    _enabled: bool = PrivateAttr(default=False)

    @property
    def enabled(self) -> bool:
        """Whether the settings turned commands on."""
        return self._enabled


class SqlConnection(_Connection):
    """A PostgreSQL or SQLite database, read with one query at a time, read-only."""

    kind: Literal["sql"]
    url: Annotated[str, AfterValidator(_without_password)]
    """SQLAlchemy address without a password, for example `postgresql+psycopg://reader@db/features`, or a reference to
    one with it."""
    password: Secret | None = None
    """Password by reference."""
    network: Network = "internal"
    """Which addresses the host may have."""
    queries: dict[str, str] = {}
    """Queries by name, for documents that only know the name."""
    stored_only: bool = False
    """Refuse queries that a document writes itself."""


class _HttpOrFolder(_Connection):
    url: Annotated[str, AfterValidator(_base_address)] | None = None
    """Base address, or else `root`."""
    root: OptionalPath = None
    """Folder, in place of an address; no symbolic link below is followed."""
    network: Network = "public"
    """Which addresses the host may have."""
    auth: Auth | None = None
    """Credential by reference; sent to this address only."""
    ca_file: OptionalPath = None
    """Certificate authorities (PEM) in place of the system's."""

    @model_validator(mode="after")
    def _one_place(self) -> _HttpOrFolder:
        if (self.url is None) == (self.root is None):
            msg = "give either `url` or `root`"
            raise ValueError(msg)
        return self

    def http(self) -> HttpConnection:
        """Return the HTTP side."""
        keys = ("max_concurrent", "timeout", "max_bytes", "redact", "url", "network", "auth", "ca_file")
        return HttpConnection.model_validate({"kind": self.kind, **{key: getattr(self, key) for key in keys}})


class LogConnection(_HttpOrFolder):
    """Log files below a folder, or a Loki-compatible service."""

    kind: Literal["log"]
    max_file_bytes: int = 200_000_000
    """Size of a log file above which it is refused."""
    max_lines: int = 5000
    """Lines that a log service may return; one more is an error, never a silent cut."""


class AssessorConnection(_HttpOrFolder):
    """Another party's endpoint, or a folder where its results are put."""

    kind: Literal["assessor"]
    challenge: bool = False
    """Send a nonce with each request and accept only a result that was signed over it."""

    @model_validator(mode="after")
    def _somebody_to_challenge(self) -> AssessorConnection:
        if self.challenge and self.root is not None:
            msg = "`challenge` needs `url`: nobody signs anew in a folder"
            raise ValueError(msg)
        return self


_MODELS: tuple[type[Connection], ...] = (
    RestConnection,
    PrometheusConnection,
    MlflowConnection,
    FileConnection,
    KubernetesConnection,
    CommandConnection,
    SqlConnection,
    LogConnection,
    AssessorConnection,
)


@cache
def _file_model() -> type[Model]:
    """Return the model of the file, made once the installed plugins are known."""
    from cabc.interfaces.registry import installed

    plugins = [plugin.connection for plugin in installed().values() if plugin.connection is not None]
    union: Any = reduce(or_, (*_MODELS, *plugins))
    connections: Any = (dict[Slug, Annotated[union, Field(discriminator="kind")]], ...)
    made: type[Model] = create_model("Connections", __base__=Model, connections=connections)
    return made


def load_connections(path: Path, *, commands: bool = False) -> dict[str, Connection]:
    """Read the operator's connections; ProblemsError names every mistake at its place. No file, no connections.

    Relative paths count from the file's folder. `commands` is the settings' switch for the `command` interface.
    """
    from cabc.document.source import read

    if not path.exists():
        return {}
    file: Any = read(_file_model(), path.read_bytes(), str(path))
    found: dict[str, Connection] = {
        name: _anchored(connection, path.resolve().parent) for name, connection in file.connections.items()
    }
    for connection in found.values():
        if isinstance(connection, CommandConnection):
            connection._enabled = commands  # noqa: SLF001 (of this module; not a key that a file could set)
    return found


def _anchored(model: M, folder: Path) -> M:
    changes: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            changes[name] = _anchored(value, folder)
        elif isinstance(value, str) and _PATH in info.metadata:
            changes[name] = str(folder / Path(value).expanduser())
        elif isinstance(value, str) and value.startswith("file:"):
            changes[name] = f"file:{folder / Path(value[5:]).expanduser()}"
        elif isinstance(model, SqlConnection) and name == "url" and value.startswith("sqlite:///"):
            changes[name] = f"sqlite:///{folder / value[10:]}"
    return model.model_copy(update=changes)
