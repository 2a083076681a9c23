"""Records → evidence: which scores belong to which case, paired, and whether the two sides may be compared.

No test and no verdict here.
"""
