"""What a frequency means, and when it is due."""

from __future__ import annotations

import datetime as dt

import pytest
from cabc.loading.frequency import Cron, Every, OnEvent, parse_frequency

NOON = dt.datetime(2026, 3, 28, 12, 0, tzinfo=dt.UTC)


def test_a_duration_is_due_again_after_its_length() -> None:
    frequency = parse_frequency("PT15M")
    assert isinstance(frequency, Every)
    assert frequency.following(NOON) == NOON + dt.timedelta(minutes=15)


def test_cron_counts_in_utc_across_a_change_of_clocks() -> None:
    frequency = parse_frequency("30 1 * * *")
    assert isinstance(frequency, Cron)
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert frequency.following(NOON.astimezone(berlin)) == dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)


def test_on_event_is_never_due() -> None:
    assert parse_frequency("on-event") == OnEvent()


def test_the_rarest_day_comes() -> None:
    frequency = parse_frequency("0 0 29 2 *")
    assert isinstance(frequency, Cron)
    assert frequency.following(NOON).year == 2028


@pytest.mark.parametrize(
    "text",
    [
        "",
        "daily",
        "@daily",
        "P1Y",
        "P1M",
        "PT0S",
        "-P1D",
        "61 * * * *",
        "* * * *",
        "* * * * * *",
        "0 0 31 2 *",
        "P" + "9" * 30 + "D",
    ],
)
def test_what_is_no_frequency(text: str) -> None:
    with pytest.raises(ValueError, match="; write"):
        parse_frequency(text)
