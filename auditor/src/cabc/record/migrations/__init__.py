"""Steps that bring a database to the tables of `cabc.record.schema`."""
