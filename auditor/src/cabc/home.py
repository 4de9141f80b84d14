"""One folder holds an auditor: settings, connections, record, keys, what is published. `.cabc` by default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from cabc.document.base import Model, Slug
from cabc.document.durations import Duration

if TYPE_CHECKING:
    from cabc.interfaces.base import Connection
    from cabc.record.database import DatabaseRecord, RecordRole

__all__ = ["AccessToken", "Home", "Oidc", "Retention", "Service", "Settings", "Webhook"]


class AccessToken(Model):
    """A bearer token of the service and what it may do."""

    name: str
    sha256: str
    """SHA-256 of the token, hexadecimal: the settings never hold the token."""
    roles: list[str]
    """auditee, auditing-party, publisher, reader."""
    subjects: list[str] = ["*"]


class Oidc(Model):
    """An identity provider whose tokens the service takes."""

    issuer: str
    audience: str
    roles_claim: str = "roles"
    subjects_claim: str | None = None
    """Claim with the subjects a token is for; every subject when not given."""
    algorithms: list[Literal["RS256", "PS256", "ES256", "EdDSA"]] = ["RS256", "ES256"]
    """Signatures that are taken; never a symmetric one, never none."""


class Webhook(Model):
    """Somebody outside who may say that something changed."""

    format: Literal["generic", "mlflow", "alertmanager"] = "generic"
    """What it sends; `generic` and `mlflow` sign each message, Alertmanager can only send the secret as a bearer."""
    secret: str
    """Environment variable or file that holds the secret: `env:NAME` or `file:PATH`."""
    subjects: list[str] = ["*"]
    """Subjects it may name."""


class Service(Model):
    """`cabc serve`."""

    host: str = "127.0.0.1"
    port: int = 8440
    public_url: str | None = None
    tokens: list[AccessToken] = []
    oidc: Oidc | None = None
    pages: dict[Slug, dict[str, Any]] = {}
    """Pages of installed packages that are served, by name (entry point `cabc.pages`), and what each is told."""
    webhooks: dict[Slug, Webhook] = {}
    """Webhooks by name; they post to `/hooks/NAME`."""
    poll: Duration = "PT2S"
    """How often documents are looked at for changes, and the record for work of other processes."""
    watch_inference_services: bool | list[Slug] = False
    """Watch for new revisions of the InferenceServices that documents name: in these namespaces, or in all (`true`).

    A namespace needs the rights `list` and `watch` in it, all of them need these in the whole cluster.
    """


class Retention(Model):
    """How long bodies are kept; hashes stay for ever."""

    evidence: Duration | None = None
    observations: Duration | None = None


class Settings(Model):
    """`cabc.yaml` in the home folder; every key may be left out."""

    database: str | None = None
    """SQLAlchemy URL, or `env:NAME`; SQLite in the home folder when not given."""
    database_connections: Annotated[int, Field(ge=2)] = 12
    """Connections to PostgreSQL that a process holds at most; who finds none free waits a minute for one."""
    documents: list[str] = []
    """Specifications that `serve` runs, as paths."""
    anchors: list[str] = ["anchors"]
    """Folders or files where signed heads are appended; put one where the auditee cannot write."""
    published: str = "published"
    commands: bool = False
    """Whether the `command` interface may be used at all."""
    workers: int = 32
    run_deadline: Duration = "PT10M"
    retention: Retention = Retention()
    service: Service = Service()


class Home:
    """The folder and what is in it. Paths in settings are relative to it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings

    def path(self, name: str) -> Path:
        """Return a path of the settings, made absolute."""
        return (self.folder / name).resolve()

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the record."""
        return self.settings.database or f"sqlite:///{self.path('record.db')}"

    def record(self, role: RecordRole = "all") -> DatabaseRecord:
        """Open the record in a role."""
        from cabc.record.database import open_record

        connections = self.settings.database_connections
        return open_record(self.database, keys=self.keys, anchors=self.anchors, role=role, connections=connections)

    def read_connections(self) -> dict[str, Connection]:
        """Read the operator's connections; none when there is no file."""
        from cabc.interfaces.connections import load_connections

        return load_connections(self.connections, commands=self.settings.commands)

    @property
    def keys(self) -> Path:
        """Folder of the signing keys: `collect`, `assess`, `publish`, each `.key` (private) and `.pub`."""
        return self.path("keys")

    @property
    def connections(self) -> Path:
        """The operator's connections file."""
        return self.path("connections.yaml")

    @property
    def anchors(self) -> list[Path]:
        """Where signed heads are exported."""
        return [self.path(anchor) for anchor in self.settings.anchors]

    @property
    def published(self) -> Path:
        """Folder of the publisher."""
        return self.path(self.settings.published)
