"""Small models that checks ask: embeddings from an endpoint or a folder, and classifiers from a folder.

Nothing here downloads anything.
"""
