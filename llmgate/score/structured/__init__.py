"""Assert types on JSON: is it, does it match, how far does it differ; and the parser they share.

Untrusted text is parsed here with bounds on size and depth, and nowhere else.
"""
