"""vLLM servers of ours: what is started, watched and ended, and which folders they can serve."""
