"""Answers that stand in their own prompts: few-shot examples that overlap with the cases they are asked about."""
