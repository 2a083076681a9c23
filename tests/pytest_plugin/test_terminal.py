"""What pytest's terminal shows of many cases, and that nothing is said twice."""

from __future__ import annotations

import pytest
from support.fake_server import FakeServer, Fault
from support.project import WRONG, answer_right, write_suite

from llmgate.pytest_plugin.terminal import LETTERS, Letters


@pytest.mark.parametrize(("cases", "each"), [(0, 1), (LETTERS, 1), (LETTERS + 1, 2), (10_000, 10), (12_345, 13)])
def test_thousands_of_cases_have_a_thousand_letters(cases: int, each: int) -> None:
    letters = Letters(cases=cases)
    assert letters.each == each
    shown = "".join(letters.thinned("m" if i % 4 == 3 else ".") for i in range(cases))
    assert len(shown) <= LETTERS + 1
    assert ("m" in shown) is (cases > 3)


def test_a_reason_stands_in_the_failures_once(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, gate="min: 0.9")
    with FakeServer(answer=lambda _: WRONG) as server:
        args = (suite, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "--tb=short", "-rN")
        output = pytester.runpytest(*map(str, args)).stdout.str()
    assert output.count("at most 7.5 % (95 %), minimum 90 %") == 1
    assert "Captured llmgate" not in output


def test_what_bars_a_pass_is_said_once_and_not_by_every_gate(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=8, gate="min: 0.2")
    with FakeServer(answer=answer_right, faults={3: Fault.HTTP_400}) as server:
        args = (suite, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "--llmgate-retries=0", "-rN")
        output = pytester.runpytest(*map(str, args)).stdout.str()
    assert output.count("Problem ") == 1
    assert "Not decided: 1 of 8 cases could not be evaluated for accuracy." in " ".join(output.split())
    assert max(map(len, output.splitlines())) <= 80 or "run/report.html" in output
