"""The form of files that people write: keys, types, lines; whatever is unknown or misspelt is refused.

Checks what is written, never what it refers to: no dataset and no prompt is opened here.
"""
