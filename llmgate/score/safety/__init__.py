"""Assert types on what must not be said, or is declined: refusals, leaks, personal data, secrets.

A reason never repeats a secret or a person's data, only its first two characters.
"""
