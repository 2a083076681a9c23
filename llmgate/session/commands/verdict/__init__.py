"""What `llmgate verdict` and `llmgate verify` do."""
