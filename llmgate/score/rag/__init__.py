"""Assert types on retrieval: is the answer supported, is the context relevant and enough."""
