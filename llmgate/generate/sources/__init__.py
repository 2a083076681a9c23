"""Where models come from: folders, the Hugging Face hub, MLflow, object stores; whatever it is, a folder in the end."""
