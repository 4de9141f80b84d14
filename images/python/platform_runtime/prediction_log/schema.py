"""The tables of the prediction log. Changes are appended to `STEPS`; each is made once, in order."""

from __future__ import annotations

from sqlalchemy import Connection, text

__all__ = ["STEPS", "lock", "upgrade"]

STEPS = (
    """
    CREATE TABLE log (id text PRIMARY KEY);
    -- Begins the names of files: another database writes over none of them, and its files come later.
    INSERT INTO log VALUES (to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS')
      || substr(md5(random()::text || clock_timestamp()::text), 1, 8));
    CREATE TABLE archives (
      id bigserial PRIMARY KEY,
      kind text NOT NULL CHECK (kind IN ('predictions', 'truths')),
      model text NOT NULL,
      version text NOT NULL,
      day date NOT NULL,
      rows bigint NOT NULL,
      object text UNIQUE,      -- path in the bucket; null until it is written
      created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE requests (
      request_id text PRIMARY KEY,
      service text NOT NULL,
      namespace text NOT NULL,
      model text NOT NULL,     -- empty texts: nobody said
      version text NOT NULL,
      run_id text NOT NULL,
      digest text NOT NULL,    -- of the model's artefacts
      protocol text NOT NULL,
      at timestamptz NOT NULL, -- when the request was seen; of an answer without a request, when that was seen
      answered_at timestamptz,
      latency_ms double precision,
      status integer,          -- null: no answer was seen
      content_digest text NOT NULL,
      archive bigint REFERENCES archives (id),
      request_event text,      -- keyed hash of the event: tells one that is sent again from an id that is used twice
      response_event text,
      stored_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX requests_by_model ON requests (model, version, at);
    CREATE INDEX requests_by_time ON requests (at);
    CREATE INDEX requests_to_archive ON requests (at) WHERE archive IS NULL;
    CREATE INDEX requests_by_archive ON requests (archive);
    CREATE TABLE predictions (
      request_id text NOT NULL REFERENCES requests ON DELETE CASCADE,
      row integer NOT NULL,
      at timestamptz NOT NULL,
      model text NOT NULL,
      version text NOT NULL,
      inputs jsonb,            -- null: the request was not seen
      output jsonb,            -- null: the answer was not seen
      PRIMARY KEY (request_id, row)
    );
    CREATE INDEX predictions_by_model ON predictions (model, version, at);
    CREATE TABLE truths (
      id bigserial PRIMARY KEY,
      request_id text NOT NULL,
      row integer,             -- null: all rows of the request
      kind text NOT NULL CHECK (kind IN ('label', 'feedback', 'business')),
      value jsonb NOT NULL,
      attributes jsonb NOT NULL,
      at timestamptz NOT NULL,
      received_at timestamptz NOT NULL,
      source text NOT NULL,
      reviewer text,
      confidence double precision,
      superseded boolean NOT NULL DEFAULT false,
      delivery text NOT NULL UNIQUE,
      archive bigint REFERENCES archives (id)
    );
    CREATE INDEX truths_by_request ON truths (request_id);
    CREATE INDEX truths_by_time ON truths (at);
    CREATE INDEX truths_to_archive ON truths (received_at) WHERE archive IS NULL;
    CREATE INDEX truths_by_archive ON truths (archive);
    CREATE TABLE dead_letters (
      key text PRIMARY KEY,
      kind text NOT NULL,
      request_id text NOT NULL,
      service text NOT NULL,
      reason text NOT NULL,
      at timestamptz NOT NULL,
      letter bytea NOT NULL    -- as it waited in the spool
    );
    CREATE INDEX dead_letters_by_time ON dead_letters (at);
    """,
)

READABLE = ("requests", "predictions", "truths", "archives")
"""Dead letters are not among them: they hold what no rule could be applied to."""

LOCK = 0x70726C6F67
"""Of everything that writes: one transaction after the other."""


def lock(connection: Connection) -> None:
    """Wait until no other transaction writes to the log."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def upgrade(connection: Connection, reader: str) -> None:
    """Bring the tables up to date, and let the reader read them."""
    lock(connection)
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)"))
    done = int(connection.execute(text("SELECT coalesce(max(version), 0) FROM schema_version")).scalar_one())
    for number, step in enumerate(STEPS[done:], done + 1):
        connection.exec_driver_sql(step)
        connection.execute(text("INSERT INTO schema_version VALUES (:number)"), {"number": number})
    if reader:
        role = connection.dialect.identifier_preparer.quote(reader)
        connection.exec_driver_sql(f"GRANT SELECT ON {', '.join(READABLE)} TO {role}")
