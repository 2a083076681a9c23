"""One module per panel of the report: records and decisions → worded rows. No format here."""
