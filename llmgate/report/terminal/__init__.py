"""What commands print beside a report: a decision, what a gate can decide, an admission; as lines of plain text.

Colours are the doors' business, and so is printing.
"""
