"""All that talks to a model: the vLLM server and the client."""
