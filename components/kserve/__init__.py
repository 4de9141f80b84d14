"""Model serving: KServe in Standard mode and a runtime for any MLflow model."""
