"""Assert types on what must not be said: refusals, leaks, personal data, secrets.

What they report names the finding and never repeats it.
"""
