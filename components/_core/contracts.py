"""What components promise each other. A component names contracts, never another component.

A contract's `claim` makes the provider create what one consumer needs (a database, a bucket) with credentials
of its own, in the provider's namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import pulumi
import pulumi_kubernetes as kubernetes

__all__ = [
    "AlertRouter",
    "Auditor",
    "Bucket",
    "ClaimDatabase",
    "ConformityGate",
    "Contract",
    "Dashboards",
    "Database",
    "ExperimentTracker",
    "KubernetesCluster",
    "Login",
    "MetricsStore",
    "ModelRegistry",
    "ModelServing",
    "ObjectStore",
    "PipelineRunner",
    "PredictionLog",
    "SqlDatabase",
]


class Contract:
    """Base of all contracts: a frozen dataclass, one per promise."""


@dataclass(frozen=True)
class KubernetesCluster(Contract):
    """A cluster that resources can be put into."""

    name: str
    """Name people know it by, for example `mlops-local`."""

    kubeconfig: pulumi.Output[str]
    """Access with the rights of an administrator: the text of a kubeconfig (secret), or the path of one."""

    provider: kubernetes.Provider

    storage_class: str | None
    """StorageClass of volumes; None asks for the cluster's default."""

    load_image: Callable[[str], pulumi.Resource | None] = lambda _reference: None
    """Bring one image reference into the nodes and return what to wait for; None where the nodes pull it themselves."""

    owner: pulumi.Resource | None = None
    """What makes the cluster and takes all objects along when it goes; None when the cluster outlives the stack."""


@dataclass(frozen=True)
class Login:
    """A user of one database who owns nothing in it: what it may do is granted by the owner."""

    username: str
    password: pulumi.Output[str]


@dataclass(frozen=True)
class Database:
    """One database of one consumer."""

    host: pulumi.Output[str]
    port: int
    name: str
    username: str
    password: pulumi.Output[str]
    ready: pulumi.Resource
    """Depend on it: the database and its users exist when it does."""

    users: Mapping[str, Login] = field(default_factory=dict)
    """Users besides the owner, by the names that were claimed."""

    share: Callable[[str, int], None] = lambda _component, _connections: None
    """Tell the server how many connections a component holds at most that uses what another one claimed."""

    def url(self, login: Login | None = None) -> pulumi.Output[str]:
        """Return the address with which SQLAlchemy connects by psycopg2, as `login` or else as the owner (secret)."""
        login = login or Login(self.username, self.password)

        def written(values: list[str]) -> str:
            host, password = values
            user, secret = quote(login.username, safe=""), quote(password, safe="")
            return f"postgresql+psycopg2://{user}:{secret}@{host}:{self.port}/{self.name}"

        return pulumi.Output.secret(pulumi.Output.all(self.host, login.password).apply(written))


class ClaimDatabase(Protocol):
    """Create the named database, its owner, and a user `<name>_<user>` for each of `users`, who may only connect.

    `connections` is how many the component that claims holds with all of them at most, while an old pod gives way to a
    new one too. The same name twice is an error.
    """

    def __call__(self, name: str, users: tuple[str, ...] = (), *, connections: int) -> Database: ...


@dataclass(frozen=True)
class SqlDatabase(Contract):
    """A PostgreSQL server that hands out databases."""

    claim: ClaimDatabase


@dataclass(frozen=True)
class Bucket:
    """One bucket of one consumer, S3 protocol, path-style addresses, signature v4."""

    endpoint: pulumi.Output[str]
    """URL with scheme and port."""

    region: str
    name: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]
    ready: pulumi.Resource


@dataclass(frozen=True)
class ObjectStore(Contract):
    """An S3 server that hands out buckets."""

    claim: Callable[[str], Bucket]
    """Create the named bucket and its owner; the same name twice is an error."""


@dataclass(frozen=True)
class ExperimentTracker(Contract):
    """An MLflow tracking server."""

    url: pulumi.Output[str]
    """In-cluster URL, the value of MLFLOW_TRACKING_URI."""


@dataclass(frozen=True)
class ModelRegistry(Contract):
    """An MLflow model registry whose artefacts can be read without it."""

    url: pulumi.Output[str]
    bucket: Bucket
    """Holds the artefacts; serving reads them from here."""

    artefact_root: str
    """`s3://bucket/prefix` that `mlflow-artifacts:/` stands for."""


@dataclass(frozen=True)
class ModelServing(Contract):
    """KServe with a runtime that serves any MLflow model."""

    namespace: str
    """Where InferenceServices are put."""

    service_account: str
    """ServiceAccount of predictors; it carries the credentials of the artefact store."""

    runtime: str
    """Name of the ClusterServingRuntime for model format `mlflow`."""

    ready: pulumi.Resource
    """Depend on it: admission webhooks answer and the runtime exists."""


@dataclass(frozen=True)
class PipelineRunner(Contract):
    """Runs a compiled kfp pipeline."""

    namespace: str
    service_account: str
    template: str
    """Name of the ConfigMap in `namespace` whose key `job.yaml` is the Job to create for a run."""


@dataclass(frozen=True)
class MetricsStore(Contract):
    """Prometheus with the operator's custom resources (ServiceMonitor, PodMonitor, PrometheusRule)."""

    url: pulumi.Output[str]
    """In-cluster URL of the Prometheus API."""

    selector: Mapping[str, str]
    """Labels a monitor or rule must carry to be picked up."""

    namespace: str
    """Where scrapes come from, for network policies."""

    ready: pulumi.Resource
    """Depend on it: the custom resource definitions exist."""


@dataclass(frozen=True)
class AlertRouter(Contract):
    """Alertmanager, and the operator that adds to its routes what an AlertmanagerConfig says."""

    url: pulumi.Output[str]

    selector: Mapping[str, str]
    """Labels an AlertmanagerConfig must carry to be picked up."""

    namespace: str
    """Where an AlertmanagerConfig and the Secrets it names must be; also where alerts come from."""

    ready: pulumi.Resource
    """Depend on it: the custom resource definitions exist."""


@dataclass(frozen=True)
class PredictionLog(Contract):
    """Keeps what models were asked and what they answered, and joins what turned out to be true."""

    url: pulumi.Output[str]
    """In-cluster URL: CloudEvents of model servers go to its root, labels and questions to `/v1/`."""

    database: Database
    """Holds the tables; user `reader` may read all of them."""

    bucket: Bucket
    """Holds the Parquet files."""

    namespace: str


@dataclass(frozen=True)
class Dashboards(Contract):
    """Grafana."""

    url: pulumi.Output[str]


@dataclass(frozen=True)
class Auditor(Contract):
    """A CABC auditor: says which model conforms to its specification."""

    url: pulumi.Output[str]
    """In-cluster URL of pages and API."""

    token: pulumi.Output[str]
    """Bearer token of a reader of every subject (secret)."""

    hook: pulumi.Output[str]
    """In-cluster URL of the webhook that asks for a run: `{"subject": "…"}`, signed as `X-Cabc-Signature` says."""

    hook_secret: pulumi.Output[str]
    """What messages to `hook` are signed with (secret)."""

    namespace: str


@dataclass(frozen=True)
class ConformityGate(Contract):
    """Decides which model version is champion and is served, by the auditor's status."""

    mode: str
    """`report`, `warn` or `enforce`; where it enforces, a pipeline makes candidates and no champion."""
