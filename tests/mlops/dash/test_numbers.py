"""Values as people read them."""

from __future__ import annotations

import pytest

from components.grafana.dashboards.definition import Level, Unit, words
from mlops.dash import numbers
from tests.support.dash import panel


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0, Unit.NUMBER, "0"),
        (3, Unit.NUMBER, "3"),
        (3.14159, Unit.NUMBER, "3.14"),
        (14500, Unit.NUMBER, "14\u202f500"),
        (1234.5, Unit.NUMBER, "1\u202f234"),
        (0.0043, Unit.SCORE, "0.0043"),
        (-0.25, Unit.SCORE, "-0.25"),
        (0.00000001, Unit.SCORE, "0"),
        (0.875, Unit.RATIO, "87.5 %"),
        (1, Unit.RATIO, "100 %"),
        (0, Unit.SECONDS, "0 s"),
        (0.00035, Unit.SECONDS, "350 µs"),
        (0.0123, Unit.SECONDS, "12.3 ms"),
        (90, Unit.SECONDS, "1.5 min"),
        (86400 * 3, Unit.SECONDS, "3 d"),
        (0, Unit.BYTES, "0 B"),
        (512, Unit.BYTES, "512 B"),
        (1.5 * 2**30, Unit.BYTES, "1.5 GiB"),
        (9.84, Unit.PER_SECOND, "9.84/s"),
        (0.25, Unit.CORES, "0.25 cores"),
    ],
)
def test_number_has_three_digits_and_its_unit(number: float, unit: Unit, text: str) -> None:
    assert numbers.text(number, unit) == text


def test_value_is_its_word_where_it_has_one() -> None:
    state = panel(unit=Unit.STATE, words=words(away=(0, Level.BAD)))
    assert numbers.value(state, 0) == "away"
    assert numbers.value(state, 0.5) == "0.5"


@pytest.mark.parametrize(
    ("number", "unit", "size"), [(3 * 2**30, Unit.BYTES, 2**30), (90, Unit.SECONDS, 60), (7, Unit.NUMBER, 1)]
)
def test_round_numbers_are_multiples_of_what_they_are_written_in(number: float, unit: Unit, size: float) -> None:
    assert numbers.size(number, unit) == size
