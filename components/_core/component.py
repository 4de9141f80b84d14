"""How a component works: it gets its own config and what it needs, registers resources and returns what it promises."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images, paths
from components._core.config import ComponentConfig
from components._core.contracts import Contract, KubernetesCluster, MetricsStore
from components._core.errors import PlatformError
from components._core.generated import Password

__all__ = ["Component", "Needs", "Promises", "labels"]

ConfigT = TypeVar("ConfigT", bound=ComponentConfig)
ContractT = TypeVar("ContractT", bound=Contract)

PART_OF = {"app.kubernetes.io/part-of": paths.APPLICATION}
"""Label of every namespace of the platform; network policies let these namespaces talk to each other."""


class Needs:
    """The contracts a component asked for, by their type."""

    def __init__(self, found: Mapping[type[Contract], Contract]) -> None:
        self._found = dict(found)

    def __getitem__(self, contract: type[ContractT]) -> ContractT:
        return cast("ContractT", self._found[contract])

    def get(self, contract: type[ContractT]) -> ContractT | None:
        """Return a contract named in `uses`, or None when the order form has no provider of it."""
        return cast("ContractT | None", self._found.get(contract))


class Promises:
    """The contracts a component provides."""

    def __init__(self, *promises: Contract) -> None:
        self._promises = promises

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._promises)


class Component(pulumi.ComponentResource, abc.ABC, Generic[ConfigT]):
    """Base class of all components; a subclass lives in `components/<folder>/component.py`.

    The folder gives every name: order-form key (camelCase), namespace and resource name (`-` for `_`),
    class (`<Pascal>Component`), config class (`<Pascal>Config`), type token.
    """

    config_class: ClassVar[type[ComponentConfig]]
    """The model of the component's entry in the order form."""

    requires: ClassVar[tuple[type[Contract], ...]] = (KubernetesCluster,)
    """Contracts the component cannot do without."""

    uses: ClassVar[tuple[type[Contract], ...]] = ()
    """Contracts the component makes use of when the order form has a provider."""

    provides: ClassVar[tuple[type[Contract], ...]] = ()

    def __init__(self, config: ConfigT, needs: Needs) -> None:
        self.config = config
        self.needs = needs
        self.component = type(self).__name__.removesuffix("Component")
        self._namespaces: list[pulumi.Resource] = []
        super().__init__(
            f"{paths.APPLICATION}:components:{self.component}",
            self.folder().replace("_", "-"),
            opts=pulumi.ResourceOptions(transformations=[self._fit_to_cluster]),
        )
        self.promises = self.deploy()
        self.register_outputs(dict(self.outputs))

    @classmethod
    def folder(cls) -> str:
        """Return the component's folder name."""
        return cls.__module__.split(".")[-2]

    @abc.abstractmethod
    def deploy(self) -> Promises:
        """Register the component's resources and return what it provides."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Return what people want to know of the running component: URLs, names; exported under its key."""
        return {}

    def problems(self) -> Iterable[PlatformError]:
        """Return what is wrong with the composition, as can be told only when every component is deployed."""
        return ()

    @property
    def name(self) -> str:
        """Return the component's name in the cluster: its namespace, its main workload."""
        return self.folder().replace("_", "-")

    @property
    def cluster(self) -> KubernetesCluster:
        """Return the cluster the component is put into."""
        return self.needs[KubernetesCluster]

    def options(self, *, depends_on: Iterable[pulumi.Resource] = (), **others: Any) -> pulumi.ResourceOptions:
        """Return the options of a child resource in the cluster; it waits for the namespaces created so far."""
        return pulumi.ResourceOptions(
            parent=self, provider=self.cluster.provider, depends_on=[*self._namespaces, *depends_on], **others
        )

    def create_namespace(
        self, name: str | None = None, *, depends_on: Iterable[pulumi.Resource] = (), **extra_labels: str
    ) -> str:
        """Create a namespace that enforces Pod Security `restricted` and lets in only the platform; return its name.

        Inside, every pod may be reached from its own namespace; `allow_ingress` opens single ports to others.
        `depends_on` names what must outlive the namespace: the controllers of objects that people put into it.
        """
        name = name or self.name
        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata={
                "name": name,
                "labels": {
                    **labels(self.name),
                    **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")},
                    **extra_labels,
                },
            },
            opts=self.options(depends_on=depends_on),
        )
        self._namespaces.append(namespace)
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-same-namespace",
            metadata={"name": "same-namespace", "namespace": name, "labels": labels(self.name)},
            spec={"pod_selector": {}, "policy_types": ["Ingress"], "ingress": [{"from_": [{"pod_selector": {}}]}]},
            opts=self.options(),
        )
        return name

    def allow_ingress(self, namespace: str, app: str, *ports: int) -> None:
        """Let the platform's namespaces reach the given ports of the pods of `app`."""
        kubernetes.networking.v1.NetworkPolicy(
            f"{namespace}-{app}",
            metadata={"name": app, "namespace": namespace, "labels": labels(self.name)},
            spec={
                "pod_selector": {"match_labels": {"app.kubernetes.io/name": app}},
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [{"namespace_selector": {"match_labels": PART_OF}}],
                        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
                    }
                ],
            },
            opts=self.options(),
        )

    def scrape(self, namespace: str, *, interval: str | None = None) -> None:
        """Have `/metrics` at port `http` of the component's Service read, where the order form has a metrics store.

        `interval` is a Prometheus duration; None is the store's own.
        """
        metrics = self.needs.get(MetricsStore)
        if metrics is None:
            return
        kubernetes.apiextensions.CustomResource(
            f"{self.name}-monitor",
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata={"name": self.name, "namespace": namespace, "labels": {**labels(self.name), **metrics.selector}},
            spec={
                "selector": {"matchLabels": {"app.kubernetes.io/name": self.name}},
                "endpoints": [{"port": "http", "path": "/metrics", **({"interval": interval} if interval else {})}],
            },
            opts=self.options(depends_on=[metrics.ready]),
        )

    def password(self, name: str) -> pulumi.Output[str]:
        """Generate a secret once and keep it in the state."""
        return Password(f"{self.name}-{name}", opts=pulumi.ResourceOptions(parent=self)).value

    def _fit_to_cluster(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Make a resource wait for the images it names, and go with the cluster where the stack owns it.

        The list of images is whatever the program says.
        """
        if KubernetesCluster not in self.requires or not args.type_.startswith("kubernetes:"):
            return None
        loaded = [self.cluster.load_image(reference) for reference in sorted(images.find_references(args.props))]
        fitting = pulumi.ResourceOptions(
            depends_on=[image for image in loaded if image], deleted_with=self.cluster.owner
        )
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, fitting))


def labels(app: str) -> dict[str, str]:
    """Return the standard labels of everything the platform puts into a cluster."""
    return {"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "pulumi", **PART_OF}
