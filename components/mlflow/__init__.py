"""The tracking server and model registry: MLflow over a database and a bucket of its own."""
