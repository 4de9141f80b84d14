"""Settings come from the environment, and those that are wrong are named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
from platform_runtime.model_monitor.report import Limits
from platform_runtime.model_monitor.settings import Settings, SettingsError

ENVIRONMENT = {"PREDICTION_LOG_DATABASE_URL": "postgresql://a", "MLFLOW_TRACKING_URI": "http://b"}


def test_settings_come_from_the_environment() -> None:
    assert Settings.from_environment(ENVIRONMENT) == Settings("postgresql://a", "http://b")
    found = Settings.from_environment(
        {
            **ENVIRONMENT,
            "MODEL_MONITOR_WINDOW_SECONDS": "90",
            "MODEL_MONITOR_MINIMUM_ROWS": "7",
            "MODEL_MONITOR_THRESHOLDS": '{"ks": 0.25}',
        }
    )
    assert (found.window, found.limits.minimum_rows) == (dt.timedelta(seconds=90), 7)
    assert (found.limits.thresholds.ks, found.limits.thresholds.psi) == (0.25, Limits().thresholds.psi)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"MLFLOW_TRACKING_URI": "http://b"}, "PREDICTION_LOG_DATABASE_URL is not set"),
        ({**ENVIRONMENT, "MODEL_MONITOR_PORT": "http"}, "MODEL_MONITOR_PORT: found 'http', wanted a whole number"),
        ({**ENVIRONMENT, "MODEL_MONITOR_WINDOW_SECONDS": "0"}, "MODEL_MONITOR_WINDOW_SECONDS: found '0'"),
        ({**ENVIRONMENT, "MODEL_MONITOR_THRESHOLDS": "{"}, "MODEL_MONITOR_THRESHOLDS"),
        ({**ENVIRONMENT, "MODEL_MONITOR_THRESHOLDS": '{"psy": 1}'}, "MODEL_MONITOR_THRESHOLDS.*psy"),
    ],
)
def test_settings_that_are_wrong_are_named(environment: Mapping[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Settings.from_environment(environment)
