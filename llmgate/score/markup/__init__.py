"""HTML and XML: whether an answer is, or has, markup.

Only reading: nothing here renders, follows links or loads entities.
"""
