"""What the server and the claims read: pure functions from a config to the text of a file."""

from __future__ import annotations

from components._core.workload import USER
from components.postgres.config import PostgresConfig

__all__ = [
    "CLAIM_SCRIPT",
    "CLAIM_SQL",
    "DATA",
    "HBA",
    "PASSWD",
    "PORT",
    "RESERVED",
    "SUPERUSER",
    "USER_SQL",
    "settings",
    "start_script",
]

PORT = 5432

SUPERUSER = "postgres"

RESERVED = 5
"""Connections that only the superuser gets: claims, of which several run at once, and people who look for a fault."""

DATA = "/var/lib/postgresql/data/pgdata"
"""Folder of the database cluster: inside the volume, because initdb wants to create it itself."""

PASSWD = f"""\
root:x:0:0:root:/root:/sbin/nologin
{SUPERUSER}:x:{USER}:{USER}:PostgreSQL:/tmp:/bin/sh
"""
"""initdb looks up who runs it; upstream's image has no entry for our user."""

HBA = f"""\
local all {SUPERUSER} peer
host  all all all scram-sha-256
"""


def settings(config: PostgresConfig) -> str:
    """Return postgresql.conf."""
    return f"""\
listen_addresses = '*'
port = {PORT}
hba_file = '/etc/postgres/pg_hba.conf'
unix_socket_directories = '/tmp'
password_encryption = 'scram-sha-256'
max_connections = {config.max_connections}
superuser_reserved_connections = {RESERVED}
shared_buffers = {config.shared_buffers}MB
max_wal_size = 512MB
# Compiling queries needs LLVM, which the image leaves out.
jit = off
log_line_prefix = '%m [%p] %q%u@%d '
timezone = 'UTC'
log_timezone = 'UTC'
"""


def start_script() -> str:
    """Return what the container runs: make the cluster once, take over the password, become the server."""
    return f"""\
set -eu
umask 077
data={DATA}
if [ ! -e "$data/PG_VERSION" ]; then
  # Only a whole cluster gets the real name: an interrupted initdb begins again.
  rm -rf "$data.partial"
  initdb --pgdata="$data.partial" --username={SUPERUSER} --pwfile=/run/secrets/superuser/password \\
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-instructions
  mv -T "$data.partial" "$data"
fi
found=$(cat "$data/PG_VERSION")
wanted=$(postgres --version | sed 's/^[^0-9]*\\([0-9]*\\).*/\\1/')
if [ "$found" != "$wanted" ]; then
  echo "the volume holds data of PostgreSQL $found and this is PostgreSQL $wanted:" \\
    "dump with the old version, restore with the new one (README of components/postgres)" >&2
  exit 1
fi
# The Secret is the truth: after a rotation the role follows it. No client can connect while this runs.
printf "ALTER ROLE {SUPERUSER} PASSWORD '%s'\\n" "$(cat /run/secrets/superuser/password)" |
  postgres --single -D "$data" -c config_file=/etc/postgres/postgresql.conf postgres >/dev/null
exec postgres -D "$data" -c config_file=/etc/postgres/postgresql.conf
"""


CLAIM_SQL = """\
\\set ON_ERROR_STOP on
\\getenv name CLAIM_NAME
\\getenv password CLAIM_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'name')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
ALTER DATABASE :"name" OWNER TO :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
"""
"""Every statement may run again: a claim that was interrupted, changed or rotated ends in the same state."""

USER_SQL = """\
\\set ON_ERROR_STOP on
\\getenv database CLAIM_NAME
\\getenv name CLAIM_USER
\\getenv password CLAIM_USER_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'name')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
GRANT CONNECT ON DATABASE :"database" TO :"name";
"""
"""Once for every user besides the owner, after the database is there: it may connect, and the owner grants the rest."""

CLAIM_SCRIPT = """\
set -eu
# A server that replays its log already listens and refuses: wait a minute for it, then let psql say why.
for _ in $(seq 60); do
  pg_isready --quiet && break
  sleep 1
done
psql --no-psqlrc --quiet --file=/etc/claim/claim.sql
for user in $CLAIM_USERS; do
  CLAIM_USER="${CLAIM_NAME}_$user" CLAIM_USER_PASSWORD=$(cat "/run/secrets/claim/$user") \\
    psql --no-psqlrc --quiet --file=/etc/claim/user.sql
done
"""
