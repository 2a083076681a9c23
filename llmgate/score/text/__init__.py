"""Assert types that read an answer as text: words, patterns, numbers, overlap with a reference.

Deterministic; none asks a model. What parses a format lives beside that format.
"""
