"""Measure: plan, open the model, ask, score, and write it all into the record. Never decides on its own."""
