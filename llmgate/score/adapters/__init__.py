"""Metrics of Ragas and DeepEval, loaded by name from optional extras.

The only place that imports them, and only when a suite names one.
"""
