"""Assert types on tool calls: do they fit their schema, are they the expected ones.

No tool is ever called.
"""
