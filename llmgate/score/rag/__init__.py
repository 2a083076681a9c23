"""Assert types on retrieval: is the answer supported and cited, is the context relevant and enough.

What several of them ask is in `claims`, what they read in `inputs`. Nothing here retrieves.
"""
