"""The page stands alone, and whatever people sent as ids, inputs or reasons stays text on it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.hops import Check, Hop, State, Trace
from cabc_platform.trace.judging import judge
from cabc_platform.trace.page import page

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>"


def test_it_loads_and_runs_nothing(collected: Callable[..., Collected]) -> None:
    text = page(judge(collected()))
    assert not re.search(r"<(script|link|img|iframe|object)|\bsrc=|@import|url\(", text)
    assert "Every hop is verified" in text


def test_text_of_others_stays_text() -> None:
    hop = Hop(
        HOSTILE,
        HOSTILE,
        HOSTILE,
        State.UNVERIFIED,
        digest=HOSTILE,
        link=HOSTILE,
        facts={HOSTILE: HOSTILE, "list": [{HOSTILE: HOSTILE}]},
        checks=[Check(HOSTILE, HOSTILE, "")],
    )
    text = page(Trace(HOSTILE, None, HOSTILE, [hop]))
    assert "<script" not in text
    assert "<img" not in text


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_told_in_words(state: State) -> None:
    text = page(Trace("r", 0, None, [Hop("n", "Title", "summary", state)]))
    assert f"</svg>{state}</span>" in text
    assert ("Every hop is verified" in text) == (state in {State.VERIFIED, State.NONE})
