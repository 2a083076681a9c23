"""The official `openai` client, over a transport of ours that limits, checks, retries and records."""
