"""What runs in the platform's Python pods: model server, storage initializer, pipeline runner, deployment step."""
