"""Run pipelines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    ConformityGate,
    ExperimentTracker,
    KubernetesCluster,
    MetricsStore,
    ModelRegistry,
    ModelServing,
    ObjectStore,
    PipelineRunner,
    PredictionLog,
)
from components.pipeline_jobs.config import PipelineJobsConfig
from components.pipeline_jobs.job import job

__all__ = ["PipelineJobsComponent"]

TEMPLATE = "pipeline-job"
"""Name of the ConfigMap."""

SERVICE_ACCOUNT = "pipelines"
"""Of runs."""

BUCKET = "pipelines"


class PipelineJobsComponent(Component[PipelineJobsConfig]):
    """A compiled kfp pipeline runs in one Job, by the local runner of the kfp SDK."""

    config_class = PipelineJobsConfig
    requires = (KubernetesCluster, ExperimentTracker, ObjectStore)
    uses = (ModelRegistry, ModelServing, MetricsStore, PredictionLog, ConformityGate)
    provides = (PipelineRunner,)

    def deploy(self) -> Promises:
        namespace = self.create_namespace(self.config.namespace)
        account = kubernetes.core.v1.ServiceAccount(
            SERVICE_ACCOUNT,
            metadata={"name": SERVICE_ACCOUNT, "namespace": namespace, "labels": labels(self.name)},
            automount_service_account_token=False,
            opts=self.options(),
        )
        self._allow_serving(namespace, account)
        self._template(namespace)
        return Promises(PipelineRunner(namespace=namespace, service_account=SERVICE_ACCOUNT, template=TEMPLATE))

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {"namespace": self.config.namespace, "template": TEMPLATE}

    def _allow_serving(self, namespace: str, account: pulumi.Resource) -> None:
        """Let runs put InferenceServices into the namespace of models and watch them come up; nothing else."""
        serving = self.needs.get(ModelServing)
        if serving is None:
            return
        metadata: Any = {"name": "pipelines", "namespace": serving.namespace, "labels": labels(self.name)}
        role = kubernetes.rbac.v1.Role(
            "pipelines-serving",
            metadata=metadata,
            rules=[
                {
                    "api_groups": ["serving.kserve.io"],
                    "resources": ["inferenceservices"],
                    "verbs": ["get", "create", "patch"],
                },
                {"api_groups": [""], "resources": ["pods", "events"], "verbs": ["get", "list"]},
            ],
            opts=self.options(depends_on=[serving.ready]),
        )
        kubernetes.rbac.v1.RoleBinding(
            "pipelines-serving",
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "pipelines"},
            subjects=[{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": namespace}],
            opts=self.options(depends_on=[role, account]),
        )

    def _template(self, namespace: str) -> None:
        """Write down how a run is started, and where the rest of the platform is."""
        bucket = self.needs[ObjectStore].claim(BUCKET)
        secret = kubernetes.core.v1.Secret(
            "pipelines-store",
            metadata={"namespace": namespace, "labels": labels(self.name)},
            string_data={"AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": bucket.secret_key},
            opts=self.options(depends_on=[bucket.ready]),
        )
        environment = pulumi.Output.all(
            **self._places(),
            AWS_ENDPOINT_URL=bucket.endpoint,
            AWS_DEFAULT_REGION=bucket.region,
            PIPELINE_ROOT=f"s3://{bucket.name}",
        )

        def template(values: dict[str, Any]) -> str:
            manifest = job(
                self.config,
                image=images.reference("python"),
                service_account=SERVICE_ACCOUNT,
                environment=values["environment"],
                secret=values["secret"],
            )
            return yaml.safe_dump(manifest, sort_keys=False)

        kubernetes.core.v1.ConfigMap(
            TEMPLATE,
            metadata={"name": TEMPLATE, "namespace": namespace, "labels": labels(self.name)},
            data={
                "job.yaml": pulumi.Output.all(environment=environment, secret=secret.metadata.name).apply(template),
                "platform.json": pulumi.Output.all(**self._places()).apply(
                    lambda places: json.dumps(places, indent=2, sort_keys=True)
                ),
                "image": images.reference("python"),
            },
            opts=self.options(),
        )

    def _places(self) -> dict[str, Any]:
        """Return the variables that tell a step where things are."""
        places: dict[str, Any] = {"MLFLOW_TRACKING_URI": self.needs[ExperimentTracker].url}
        if registry := self.needs.get(ModelRegistry):
            places["REGISTRY_ARTEFACT_ROOT"] = registry.artefact_root
        if serving := self.needs.get(ModelServing):
            places["SERVING_NAMESPACE"] = serving.namespace
            places["SERVING_SERVICE_ACCOUNT"] = serving.service_account
            places["SERVING_RUNTIME"] = serving.runtime
        if metrics := self.needs.get(MetricsStore):
            places["PROMETHEUS_URL"] = metrics.url
        if log := self.needs.get(PredictionLog):
            places["PREDICTION_LOG_URL"] = log.url
        if gate := self.needs.get(ConformityGate):
            places["CONFORMITY_GATE"] = gate.mode
        return places
