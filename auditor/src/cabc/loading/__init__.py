"""Reading a document: every mistake at its place, nested documents resolved, leaves flattened; schema, reference."""
