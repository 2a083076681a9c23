"""lm-evaluation-harness: task files and logged samples; `suites` makes suites of them."""
