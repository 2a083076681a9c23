"""Datasets: found, read row by row, locked by digest, compared, sampled, described.

What a row means to a case is `suite.cases`' business.
"""
