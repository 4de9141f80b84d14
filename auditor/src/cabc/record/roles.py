"""PostgreSQL roles: each appends to its own chains; nobody but the owner changes or removes anything."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from cabc.errors import CabcError
from cabc.record.chain import KINDS
from cabc.record.engines import advisory_lock, connect, migrate, resolve_url, writing

__all__ = ["DATABASE_ROLES", "grant_roles", "statements"]

DATABASE_ROLES = ("cabc_collect", "cabc_assess", "cabc_publish", "cabc_read")
"""Group roles without login; the operator's users become members."""

_WRITERS = ("collect", "assess", "publish")
_TABLES = ("entries", "heads", "evidence", "pending", "leases", "alembic_version")
_GRANTS = {
    "entries": {"collect": "INSERT", "assess": "INSERT", "publish": "INSERT"},
    "heads": {"collect": "INSERT", "assess": "INSERT", "publish": "INSERT"},
    "evidence": {"collect": "INSERT", "assess": "INSERT"},
    "pending": {"collect": "INSERT, DELETE", "assess": "DELETE"},
    "leases": dict.fromkeys(_WRITERS, "INSERT, UPDATE, DELETE"),
}


def grant_roles(url: str) -> None:
    """Make the roles, if they are not there, and say what each may do; as the owner, and again after an upgrade."""
    parsed = resolve_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise CabcError(
            "only PostgreSQL has roles", fix="on SQLite whoever may write the file may write all: anchor elsewhere"
        )
    engine = connect(parsed)
    try:
        migrate(engine)
        with writing(engine) as connection:
            advisory_lock(connection, "roles")
            _create(connection)
            for statement in statements():
                connection.execute(text(statement))
    finally:
        engine.dispose()


def _create(connection: Connection) -> None:
    there = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    for role in DATABASE_ROLES:
        if role not in there:
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))


def statements() -> Iterator[str]:
    """Give the statements that let each role do its part and no more."""
    everybody = ", ".join(DATABASE_ROLES)
    for table in _TABLES:
        yield f"REVOKE ALL ON {table} FROM PUBLIC, {everybody}"
        yield f"GRANT SELECT ON {table} TO {everybody}"
        for role, may in _GRANTS.get(table, {}).items():
            yield f"GRANT {may} ON {table} TO cabc_{role}"
    for table in ("entries", "heads", "evidence", "pending"):
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield from _policy(table, "read", f"FOR SELECT TO {everybody} USING (true)")
    for role in _WRITERS:
        own = f"starts_with(chain, '{role}:')"
        kinds = ", ".join(f"'{kind}'" for kind, (_, place) in KINDS.items() if place == role)
        whole = f"WITH CHECK ({own} AND kind IN ({kinds}) AND body IS NOT NULL)"
        yield from _policy("entries", role, f"FOR INSERT TO cabc_{role} {whole}")
        yield from _policy("heads", role, f"FOR INSERT TO cabc_{role} WITH CHECK ({own})")
    # Nobody can occupy a digest with other bytes.
    fits = "WITH CHECK (digest = 'sha256:' || encode(sha256(body), 'hex'))"
    yield from _policy("evidence", "write", f"FOR INSERT TO cabc_collect, cabc_assess {fits}")
    waits = "starts_with(chain, 'collect:') AND kind IN ('trigger', 'collection')"
    yield from _policy("pending", "wait", f"FOR INSERT TO cabc_collect WITH CHECK ({waits})")
    yield from _policy("pending", "collected", "FOR DELETE TO cabc_collect USING (kind = 'trigger')")
    yield from _policy("pending", "assessed", "FOR DELETE TO cabc_assess USING (kind = 'collection')")


def _policy(table: str, name: str, rule: str) -> Iterator[str]:
    yield f"DROP POLICY IF EXISTS cabc_{name} ON {table}"
    yield f"CREATE POLICY cabc_{name} ON {table} {rule}"
