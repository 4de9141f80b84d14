"""Sample models: each folder has a pipeline, and says what its data is."""
