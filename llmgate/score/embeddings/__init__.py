"""Assert types on likeness by embeddings, and the local model that embeds where no endpoint does.

Nothing here is downloaded, and no judge is asked.
"""
