"""Where vLLM starts its API server since 0.32; the module beside `openai` is the deprecated one there."""

from __future__ import annotations

from vllm.entrypoints.openai.api_server import main

if __name__ == "__main__":
    main()
