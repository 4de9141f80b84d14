"""What must not go unnoticed of the audit: that it stopped, that its record is broken, that a model lost its status."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]

STATUS = 'max by (subject) (compliance_state{dimension="",requirement=""})'


def groups(stale_after_hours: int = 24) -> list[Group]:
    """Return the groups of the auditor's PrometheusRule."""
    return [
        Group(
            "conformity",
            [
                Alert(
                    "ModelSuspended",
                    f"{STATUS} == 2",
                    "0s",
                    "critical",
                    "{{ $labels.subject }} is suspended: it does not meet its conformity specification.",
                    "models",
                ),
                Alert(
                    "ModelRevoked",
                    f"{STATUS} == 3",
                    "0s",
                    "critical",
                    "The conformity status of {{ $labels.subject }} is revoked.",
                    "models",
                ),
            ],
        ),
        Group(
            "audit",
            [
                Alert(
                    "AuditStale",
                    f"time() - max by (subject) (cabc_last_assessment_timestamp_seconds) > {stale_after_hours * 3600}",
                    "0s",
                    "warning",
                    "{{ $labels.subject }} was last assessed {{ $value | humanizeDuration }} ago.",
                    "audit",
                ),
                Alert(
                    "AuditMissing",
                    f"{STATUS} == -1",
                    "30m",
                    "warning",
                    "{{ $labels.subject }} has a conformity specification and was never assessed in full.",
                    "audit",
                ),
                Alert(
                    "AuditNotRunning",
                    'absent(cabc_runs_in_progress{job="cabc-auditor"})',
                    "5m",
                    "critical",
                    "Nobody audits: no process of the auditor answers.",
                    "audit",
                ),
                Alert(
                    "AuditRunsFail",
                    'sum by (step) (increase(cabc_run_duration_seconds_count{result="failed"}[15m])) > 2',
                    "5m",
                    "warning",
                    "Runs of the auditor fail in the step {{ $labels.step }}.",
                    "audit",
                ),
                Alert(
                    "AuditBacklog",
                    "max by (subject, what) (cabc_queue) > 0",
                    "15m",
                    "warning",
                    "{{ $labels.what }} of {{ $labels.subject }} wait and are not worked on.",
                    "audit",
                ),
                Alert(
                    "AuditDocumentRefused",
                    "max(cabc_documents_refused) > 0",
                    "1m",
                    "warning",
                    "Conformity specifications that cannot be used as they are: {{ $value }}.",
                    "audit",
                ),
                Alert(
                    "AuditRecordBroken",
                    "max by (namespace, job_name)"
                    ' (kube_job_failed{job_name=~"cabc-auditor-verify-.+",condition="true"}) > 0',
                    "0s",
                    "critical",
                    "The audit record was verified by {{ $labels.job_name }} and does not hold, or could not be read.",
                    "audit",
                ),
                Alert(
                    "AuditWebhookForged",
                    'sum by (webhook, status) (increase(cabc_webhook_messages_total{status=~"401|409"}[10m])) > 0',
                    "0s",
                    "warning",
                    "Webhook {{ $labels.webhook }} refused messages that are forged, late or repeated"
                    " ({{ $labels.status }}).",
                    "audit",
                ),
            ],
        ),
    ]
