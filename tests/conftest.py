"""Settings of the whole test run."""

from __future__ import annotations

from hypothesis import settings

# A property says what is true, not how fast: on a busy machine the default deadline fails at random.
settings.register_profile("llmgate", deadline=None)
settings.load_profile("llmgate")
