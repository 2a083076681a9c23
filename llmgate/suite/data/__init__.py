"""Datasets: found, read row by row, locked by digest, compared, sampled.

What a row means to a case is `suite.cases`' business.
"""
