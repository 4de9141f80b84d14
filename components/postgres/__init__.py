"""A PostgreSQL server that gives every consumer a database and an owner of its own."""
