"""What servers call the figures at `/metrics` that are noted. Names of counters stand here without their `_total`.

Read in the sources of vLLM 0.32 (`vllm/v1/metrics/loggers.py`) and SGLang 0.5.23 (`srt/observability`), and in the
binary of llama.cpp 11549. vLLM's older names come after its present ones.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BY_REASON", "COUNTERS", "GAUGES", "HISTOGRAMS", "SHARES", "TTFT"]

TTFT: Final = "vllm:time_to_first_token_seconds"
"""The histogram that the client's own times are checked against."""
BY_REASON: Final = "vllm:num_requests_waiting_by_reason"
"""A gauge that is kept apart by its label `reason`: `capacity` and `deferred` in vLLM 0.32."""
SHARES: Final = frozenset(
    {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage", "sglang:cache_hit_rate"}
)
"""Gauges from 0 to 1, of which several engines have a mean and no sum."""
GAUGES: Final = SHARES | {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    BY_REASON,
    "sglang:num_running_reqs",
    "sglang:num_queue_reqs",
    "llamacpp:requests_processing",
    "llamacpp:requests_deferred",
}
COUNTERS: Final = frozenset(
    {
        "vllm:num_preemptions",
        "vllm:prefix_cache_queries",
        "vllm:prefix_cache_hits",
        "vllm:external_prefix_cache_queries",
        "vllm:external_prefix_cache_hits",
        "vllm:gpu_prefix_cache_queries",
        "vllm:gpu_prefix_cache_hits",
        "vllm:admission_rejections",
        "vllm:prompt_tokens",
        "vllm:prompt_tokens_cached",
        "vllm:generation_tokens",
        "vllm:request_success",
        "vllm:spec_decode_num_drafts",
        "vllm:spec_decode_num_draft_tokens",
        "vllm:spec_decode_num_accepted_tokens",
        "sglang:num_requests",
        "sglang:num_retracted_requests",
        "sglang:prompt_tokens",
        "sglang:cached_tokens",
        "sglang:generation_tokens",
        "llamacpp:prompt_tokens",
        "llamacpp:prompt_seconds",
        "llamacpp:tokens_predicted",
        "llamacpp:tokens_predicted_seconds",
        "llamacpp:n_decode",
    }
)
HISTOGRAMS: Final = frozenset(
    {
        TTFT,
        "vllm:inter_token_latency_seconds",
        "vllm:request_time_per_output_token_seconds",
        "vllm:time_per_output_token_seconds",
        "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds",
        "vllm:request_prefill_time_seconds",
        "vllm:request_decode_time_seconds",
        "vllm:request_inference_time_seconds",
        "sglang:time_to_first_token_seconds",
        "sglang:inter_token_latency_seconds",
        "sglang:request_time_per_output_token_seconds",
        "sglang:e2e_request_latency_seconds",
        "sglang:queue_time_seconds",
    }
)
