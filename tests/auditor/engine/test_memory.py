"""The collector rests while runs are under way, and works again after the last."""

from __future__ import annotations

import gc

import pytest
from cabc.engine.memory import uncollected


def test_the_collector_works_again_after_the_last_run_and_after_an_error() -> None:
    assert gc.isenabled()
    with uncollected():
        with pytest.raises(RuntimeError), uncollected():
            raise RuntimeError
        assert not gc.isenabled()
    assert gc.isenabled()
