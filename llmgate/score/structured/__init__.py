"""Assert types on JSON, and JSON as data: read, found in texts, addressed by paths, compared, held against schemas.

Nothing here asks a model, or fetches what a schema refers to.
"""
