"""The conformity specification: what a document may say, and loading one with every mistake at its place."""
