"""Assert types on meaning by embeddings, and the local model that embeds where no endpoint does."""
