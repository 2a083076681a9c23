"""One module per part of the report: records and decisions → worded rows.

No format here: nothing is escaped, coloured or laid out. A new panel is called by `view`.
"""
