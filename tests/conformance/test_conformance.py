"""The conformance rows: what each assert type says about a given output, compared with promptfoo's own runner.

Rows are JSON lines. `expect` is what promptfoo does, `llmgate_expect` what llmgate does on purpose instead. Rows with
`engine: js-only` need JavaScript's regular expressions, which are translated; they are not required, so they are kept
apart. `deviations.jsonl` lists further rows that llmgate departs from, and what it has to do there.
"""

from __future__ import annotations

import pytest
from support.conformance import Row, agrees


def test_required_row(row: Row) -> None:
    assert agrees(row) is None


@pytest.mark.js_only
def test_javascript_only_row(row: Row) -> None:
    assert agrees(row) is None
