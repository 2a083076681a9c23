"""Templates as promptfoo's users write them: JavaScript's values and rules, bounded in time and size.

A template reads its variables and nothing else: no file, no dataset, no suite is known here.
"""
