"""One module per form of a report: worded rows → HTML, Markdown, what GitHub reads. `plot` draws for HTML.

No facts are worded here, and no record or decision is read.
"""
