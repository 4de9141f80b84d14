"""Whether each model conforms, how fresh that word is, and what came of it."""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Level, Panel, Row, Unit, above, one, words

__all__ = ["DASHBOARD"]

SUBJECT = "{{subject}}"

STATUS = words(
    unknown=(-1, Level.WARN),
    conformant=(0, Level.GOOD),
    conditional=(1, Level.WARN),
    suspended=(2, Level.BAD),
    revoked=(3, Level.BAD),
)
"""Of a subject, as the auditor exports it."""

VERDICT = words(
    not_evaluated=(-1, Level.WARN),
    satisfied=(0, Level.GOOD),
    waived_or_in_review=(1, Level.WARN),
    not_satisfied=(2, Level.BAD),
    error=(3, Level.BAD),
)
"""Of a dimension or a requirement."""

CONFORMITY = Row(
    "Conformity",
    (
        Panel(
            "Status",
            "Conformity status of each model.",
            Kind.STAT,
            Unit.STATE,
            one('max by (subject) (compliance_state{dimension="",requirement=""})', SUBJECT),
            words=STATUS,
        ),
        Panel(
            "Status over time",
            "0 conformant, 1 conditional, 2 suspended, 3 revoked, -1 nothing known yet.",
            Kind.LINES,
            Unit.STATE,
            one('max by (subject) (compliance_state{dimension="",requirement=""})', SUBJECT),
            words=STATUS,
        ),
        Panel(
            "Dimensions",
            "The worst verdict in each dimension of the specification.",
            Kind.TABLE,
            Unit.STATE,
            one(
                'max by (subject, dimension) (compliance_state{dimension!="",requirement=""})',
                f"{SUBJECT} {{{{dimension}}}}",
            ),
            words=VERDICT,
        ),
        Panel(
            "Requirements not satisfied",
            "Requirements that are not satisfied, or whose evidence could not be had. The auditor's page of the subject"
            " explains each.",
            Kind.STAT,
            Unit.NUMBER,
            one('sum by (subject) (compliance_state{requirement!=""} >= bool 2)', SUBJECT),
            above(None, 1),
        ),
        Panel(
            "Waived or in review",
            "Requirements that pass for a while, on somebody's word.",
            Kind.STAT,
            Unit.NUMBER,
            one('sum by (subject) (compliance_state{requirement!=""} == bool 1)', SUBJECT),
            above(1),
        ),
    ),
)

FRESHNESS = Row(
    "Freshness",
    (
        Panel(
            "Since the last assessment",
            "A status is only as good as its last assessment.",
            Kind.STAT,
            Unit.SECONDS,
            one("time() - max by (subject) (cabc_last_assessment_timestamp_seconds)", SUBJECT),
            above(3600, 86400),
        ),
        Panel(
            "Oldest evidence",
            "Age of the oldest value that the latest assessment used.",
            Kind.STAT,
            Unit.SECONDS,
            one("max by (subject) (cabc_evidence_age_seconds)", SUBJECT),
            above(3600, 86400),
        ),
        Panel(
            "Waiting",
            "Triggers and collections that wait to be worked on.",
            Kind.LINES,
            Unit.NUMBER,
            one("sum by (subject, what) (cabc_queue)", f"{SUBJECT} {{{{what}}}}"),
        ),
        Panel(
            "Time of a run",
            "95th percentile by step over the last hour.",
            Kind.LINES,
            Unit.SECONDS,
            one(
                "histogram_quantile(0.95, sum by (step, le) (rate(cabc_run_duration_seconds_bucket[1h])))",
                "{{step}}",
            ),
        ),
        Panel(
            "Runs missed in the last hour",
            "Scheduled times that passed without a run: the one before took too long, or nothing ran.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum(increase(cabc_missed_runs_total[1h])) or vector(0)"),
            above(1, 3),
        ),
        Panel(
            "Messages from webhooks",
            "Messages in the last hour by webhook and answer; 401 and 404 are messages that somebody else sent.",
            Kind.TABLE,
            Unit.NUMBER,
            one(
                "sum by (webhook, status) (increase(cabc_webhook_messages_total[1h]))",
                "{{webhook}} {{status}}",
            ),
        ),
        Panel(
            "Documents refused",
            "Specifications that cannot be used as they are: their models are audited by what was there before.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum(cabc_documents_refused)"),
            above(None, 1),
        ),
    ),
)

GATE = Row(
    "Gate",
    (
        Panel(
            "Looks of the gate that failed",
            "In the last hour, by what did not answer. While it fails the gate changes nothing.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum by (source) (increase(conformity_gate_failures_total[1h]))", "{{source}}"),
            above(1, 10),
        ),
        Panel(
            "Decisions",
            "What the gate decided in the last hour: who got the alias `champion`, who lost it.",
            Kind.LINES,
            Unit.NUMBER,
            one("sum by (decision) (increase(conformity_gate_decisions_total[1h]))", "{{decision}}"),
        ),
        Panel(
            "What the gate holds true",
            "Status of each version in the gate's eyes, which decides on traffic.",
            Kind.TABLE,
            Unit.NUMBER,
            one("max by (model, version, status) (conformity_gate_status == 1)", "{{model}} {{version}} {{status}}"),
        ),
        Panel(
            "Since the gate last asked",
            "The gate acts on what the auditor said then.",
            Kind.STAT,
            Unit.SECONDS,
            one("time() - max(conformity_gate_last_poll_timestamp_seconds)"),
            above(60, 300),
        ),
    ),
)

DASHBOARD = Dashboard(
    "audit",
    "Audit",
    "Does each model conform, how fresh is that word, and what came of it?",
    (CONFORMITY, FRESHNESS, GATE),
)
