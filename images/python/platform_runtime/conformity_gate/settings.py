"""What the component tells the gate, by environment variables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from platform_runtime.conformity_gate.auditor import Hook
from platform_runtime.conformity_gate.plan import Mode, Policy

__all__ = ["Settings", "SettingsError"]


class SettingsError(Exception):
    """A variable is missing or says nothing known. The text names it."""


@dataclass(frozen=True)
class Settings:
    """Where everything is, and what to decide by."""

    registry_url: str
    artefact_root: str
    namespace: str
    """Of the InferenceServices; one elsewhere is not the gate's."""
    auditor_url: str
    auditor_token: str = field(repr=False)
    hook: Hook
    policy: Policy
    interval: dt.timedelta

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables."""

        def text(name: str) -> str:
            value = environment.get(name, "")
            if not value:
                msg = f"{name} is not set"
                raise SettingsError(msg)
            return value

        def seconds(name: str) -> dt.timedelta:
            try:
                return dt.timedelta(seconds=float(text(name)))
            except ValueError as error:
                msg = f"{name}: found {environment[name]!r}, wanted a number of seconds"
                raise SettingsError(msg) from error

        def one_of(name: str, *allowed: str) -> str:
            if (value := text(name)) not in allowed:
                msg = f"{name}: found {value!r}, wanted one of {', '.join(allowed)}"
                raise SettingsError(msg)
            return value

        without = one_of("GATE_WITHOUT_ALLOWED", "keep", "stop")
        return cls(
            registry_url=text("MLFLOW_TRACKING_URI"),
            artefact_root=text("REGISTRY_ARTEFACT_ROOT"),
            namespace=text("SERVING_NAMESPACE"),
            auditor_url=text("AUDITOR_URL"),
            auditor_token=text("AUDITOR_TOKEN"),
            hook=Hook(text("AUDITOR_HOOK_URL"), text("AUDITOR_HOOK_SECRET")),
            policy=Policy(
                mode=Mode(one_of("GATE_MODE", *Mode)),
                allow_conditional=one_of("GATE_ALLOW_CONDITIONAL", "true", "false") == "true",
                hold=seconds("GATE_HOLD_SECONDS"),
                without="stop" if without == "stop" else "keep",
            ),
            interval=seconds("GATE_INTERVAL_SECONDS"),
        )
