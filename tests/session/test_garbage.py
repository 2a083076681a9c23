"""When garbage is looked for."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from llmgate.session.garbage import collected, uncollected


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_as_before_afterwards(was_on: bool) -> None:
    before = gc.isenabled()
    seen = []
    try:
        (gc.enable if was_on else gc.disable)()
        with suppress(ValueError), uncollected():
            seen.append(gc.isenabled())
            with collected():
                seen.append(gc.isenabled())
            seen.append(gc.isenabled())
            raise ValueError("an error within")
        assert gc.isenabled() is was_on
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()
    assert seen == [False, True, False]
