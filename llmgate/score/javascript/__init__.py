"""What JavaScript does otherwise than Python where a suite written for it would notice: patterns.

No check lives here, and nothing that is not JavaScript's; how it writes values as text is in `suite.jsvalues`.
"""
