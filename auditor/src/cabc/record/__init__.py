"""The append-only record: hash-chained, signed, exportable, verifiable offline."""
