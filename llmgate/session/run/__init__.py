"""Measure: plan, open the model, ask, score, and write it all into the record.

Nothing here decides. Where a run has to know what a decision would be (early stopping, power), it asks the gate.
"""
