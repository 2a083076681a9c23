"""What JavaScript does otherwise than Python where a suite written for it would notice: patterns.

No check lives here, only patterns; how JavaScript writes values is `suite.template.javascript`.
"""
