"""The prediction log: what models were asked, what they answered, and what turned out to be true.

Events are accepted when they are on the disk (`spool`), then moved into PostgreSQL exactly once (`writer`, `storing`)
and from there into Parquet files (`archive`). `reading` is how others in the cluster get at windows of it.
"""
