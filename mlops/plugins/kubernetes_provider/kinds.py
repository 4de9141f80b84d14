"""What is known of kinds without asking an API server: their tokens, their scope, what this stand-in refuses."""

from __future__ import annotations

from mlops.plugins.kubernetes_provider.errors import ProviderError, RefusedError
from mlops.plugins.kubernetes_provider.objects import Kind

__all__ = ["BUILT_IN_GROUPS", "from_token", "namespaced", "refuse_unsupported", "type_of"]

BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)

_CLUSTER_SCOPED = frozenset(
    {
        ("", "ComponentStatus"),
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("authentication.k8s.io", "SelfSubjectReview"),
        ("authentication.k8s.io", "TokenReview"),
        ("authorization.k8s.io", "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "SelfSubjectRulesReview"),
        ("authorization.k8s.io", "SubjectAccessReview"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("internal.apiserver.k8s.io", "StorageVersion"),
        ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "DeviceTaintRule"),
        ("resource.k8s.io", "ResourceSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("storage.k8s.io", "VolumeAttributesClass"),
        ("storagemigration.k8s.io", "StorageVersionMigration"),
    }
)

_REFUSED_MODULES = ("helm.sh/", "helm/", "kustomize", "yaml")


def type_of(urn: str) -> str:
    """Return the type token of a URN: what stands before its name, without the types of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def from_token(token: str) -> Kind:
    """Return the kind a type token names: `kubernetes:apps/v1:Deployment`."""
    package, _, rest = token.partition(":")
    module, _, kind = rest.rpartition(":")
    group, _, version = module.rpartition("/")
    if package != "kubernetes" or not kind or not version:
        message = f'unrecognized resource type: "{token}" for this provider'
        raise ProviderError(message)
    return Kind("" if group == "core" else group, version, kind)


def refuse_unsupported(token: str, kind: str = "") -> None:
    """Raise for a type that only the official plugin serves; `kind` is what the inputs say, if they say."""
    module = token.partition(":")[2].rpartition(":")[0]
    if module.startswith(_REFUSED_MODULES):
        raise RefusedError("resource type", token)
    wanted = from_token(token)
    if wanted.kind.endswith("Patch") and kind != wanted.kind:
        raise RefusedError("patch resource", token)
    if wanted.kind.endswith("List") and wanted.group in BUILT_IN_GROUPS:
        message = (
            f"{token}: list resources exist for compatibility with YAML manifests and Helm charts, and cannot be "
            "created directly. Use the underlying resource type instead"
        )
        raise ProviderError(message)


def namespaced(kind: Kind) -> bool | None:
    """Say whether a built-in kind lives in a namespace; None where only the API server knows."""
    if kind.group not in BUILT_IN_GROUPS:
        return None
    return (kind.group, kind.kind) not in _CLUSTER_SCOPED
