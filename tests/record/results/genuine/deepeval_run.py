"""Writes a test run of DeepEval whose every score is known, into DEEPEVAL_RESULTS_FOLDER."""

from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig, ErrorConfig
from deepeval.metrics import BaseMetric, ExactMatchMetric
from deepeval.test_case import LLMTestCase


class Share(BaseMetric):
    """The share of x in an answer; it cannot be measured of an empty one."""

    threshold = 0.5
    async_mode = False
    evaluation_model = None

    @property
    def __name__(self):
        return "Share of x"

    def measure(self, case, *_args, **_more):
        self.score = case.actual_output.count("x") / len(case.actual_output)
        self.success = self.score >= self.threshold
        self.reason = "counted"
        return self.score

    async def a_measure(self, case, *_args, **_more):
        return self.measure(case)

    def is_successful(self):
        return self.success


cases = [
    LLMTestCase(input=f"q{i}", actual_output=answer, expected_output="x", additional_metadata={"topic": "t"})
    for i, answer in enumerate(["x", "y", "xy", "xxxy", ""])
]
evaluate(
    cases,
    [Share(), ExactMatchMetric()],
    async_config=AsyncConfig(run_async=False),
    cache_config=CacheConfig(write_cache=False, use_cache=False),
    display_config=DisplayConfig(show_indicator=False, print_results=False),
    error_config=ErrorConfig(ignore_errors=True),
)
