"""The load client: sends requests when they are due and notes when bytes arrive."""
