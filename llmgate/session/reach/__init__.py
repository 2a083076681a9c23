"""How a model is reached: where its files come from, the server that is started for them, or an endpoint."""
