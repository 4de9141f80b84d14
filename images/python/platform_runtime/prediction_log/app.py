"""The collector's HTTP server.

`POST /` takes CloudEvents of model servers and of KServe's logger and answers 200 when they are on the disk. All else
is under `/v1/`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import orjson
import prometheus_client
import pydantic
import sqlalchemy
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from platform_runtime.prediction_log import metrics, truths
from platform_runtime.prediction_log.acceptance import RETRY_SECONDS, Acceptance, RefusedError
from platform_runtime.prediction_log.archive import Archive, Bucket
from platform_runtime.prediction_log.events import KINDS, EventError, from_http
from platform_runtime.prediction_log.housekeeping import Housekeeping
from platform_runtime.prediction_log.marking import Marking
from platform_runtime.prediction_log.replay import replay_archive, replay_dead_letters
from platform_runtime.prediction_log.settings import Settings
from platform_runtime.prediction_log.spool import Spool
from platform_runtime.prediction_log.storing import Store
from platform_runtime.prediction_log.writer import EVENT, TRUTHS, Writer

__all__ = ["Collector", "Replay", "create_app"]

FILE_FACTOR = 4
"""A file of truths may be so many times as large as an event."""

CODED_FACTOR = 2
"""A message with events in JSON may be so many times as large as an event."""

TRUTH_LIST = pydantic.TypeAdapter(Annotated[list[truths.Truth], pydantic.Field(max_length=truths.MOST)])

DATABASE = {
    "connect_timeout": 5,
    "application_name": "prediction-log",
    "options": "-c timezone=UTC -c statement_timeout=60000",
    # A server that is gone without a word is noticed in seconds instead of a quarter of an hour.
    "keepalives_idle": 10,
    "tcp_user_timeout": 15000,
}


class Replay(pydantic.BaseModel):
    """What to bring back."""

    model_config = pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True)

    source: Literal["dead-letters", "archive"]
    model: str | None = None
    """Only files of this model."""

    version: str | None = None
    since: pydantic.AwareDatetime
    until: pydantic.AwareDatetime


class Collector:
    """The parts of one running collector."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        kept = min(4, settings.connections)
        self.engine = sqlalchemy.create_engine(
            settings.database,
            pool_size=kept,
            max_overflow=settings.connections - kept,
            pool_pre_ping=True,
            connect_args=DATABASE,
        )
        self.spool = Spool(settings.spool, settings.spool_bytes)
        self.archive = Archive(self.engine, Bucket(settings.archive))
        self.writer = Writer(self.spool, self.engine, self.new_store(), settings.reader)
        self.housekeeping = Housekeeping(self.engine, self.archive, settings, self.writer.upgraded)
        metrics.SPOOLED.set_function(lambda: self.spool.pending)
        metrics.SPOOL_BYTES.set_function(lambda: self.spool.size)
        metrics.OLDEST.set_function(self.spool.oldest_seconds)
        metrics.SPOOL_LIMIT.set(settings.spool_bytes)

    def new_store(self) -> Store:
        """Return a store of its own for each thread that writes."""
        key = self.settings.key.get_secret_value().encode()
        return Store(Marking(self.settings.rules, key), key)

    def start(self) -> None:
        """Begin moving events, now that this process has a loop to accept them in."""
        self.acceptance = Acceptance(self.spool)
        self.writer.start()
        self.housekeeping.start()

    async def stop(self) -> None:
        """Finish what is under way; what waits in the spool stays there."""
        await self.acceptance.close()
        await run_in_threadpool(self.writer.stop)
        await run_in_threadpool(self.housekeeping.stop)
        self.engine.dispose()
        self.spool.close()

    @property
    def alive(self) -> bool:
        """Whether all parts work."""
        return self.acceptance.alive and self.writer.is_alive() and self.housekeeping.is_alive()


def create_app(collector: Collector) -> FastAPI:
    """Return the ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collector.start()
        yield
        await collector.stop()

    # The pages of documentation load scripts from elsewhere; /openapi.json is what they are made of.
    app = FastAPI(title="Prediction log", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_exception_handler(RefusedError, _refused)
    for error in (DatabaseError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(error, _database_away)
    _add_events(app, collector)
    _add_truths(app, collector)
    _add_questions(app, collector)
    _add_probes(app, collector)
    return app


def _add_events(app: FastAPI, collector: Collector) -> None:
    async def events(request: Request) -> Response:
        kinds = Counter([KINDS.get(request.headers.get("ce-type", ""), "other")])
        largest = collector.settings.body_bytes
        # An event in JSON has its body in base64, which takes a third more, and its attributes beside it.
        coded = "ce-specversion" not in request.headers
        try:
            body = await _body(request, CODED_FACTOR * largest if coded else largest)
            started = time.perf_counter()
            now = time.time()
            try:
                found = from_http(request.scope["headers"], body, now)
            except EventError as error:
                raise RefusedError(400, "no event", str(error)) from error
            kinds = Counter(event.kind for event in found)
            if any(len(event.body) > largest for event in found):
                raise _too_large(largest)
            await collector.acceptance.accept([EVENT + event.pack() for event in found])
        except RefusedError:
            for kind, number in kinds.items():
                metrics.EVENTS.labels(kind, "refused").inc(number)
            raise
        metrics.APPEND.observe(time.perf_counter() - started)
        for kind, number in kinds.items():
            metrics.EVENTS.labels(kind, "accepted").inc(number)
        for namespace, service in {(event.namespace, event.service) for event in found}:
            metrics.saw(namespace, service, now)
        # 200 and nothing else: KServe's logger writes a line about every other success.
        return Response(status_code=200)

    app.add_route("/", events, methods=["POST"], include_in_schema=False)


def _add_truths(app: FastAPI, collector: Collector) -> None:
    # One call at a time has its truths in memory, and none of them keeps an event from being accepted.
    turn = asyncio.Semaphore(1)

    async def keep(read: Callable[[], Iterable[truths.Truth]]) -> JSONResponse:
        async with turn:
            try:
                packed, number = await run_in_threadpool(lambda: truths.pack(read(), dt.datetime.now(dt.UTC)))
            except truths.TooManyError as error:
                raise RefusedError(413, "too large", str(error)) from error
            try:
                await collector.acceptance.accept([TRUTHS + record for record in packed])
            except RefusedError:
                metrics.EVENTS.labels("truth", "refused").inc(number)
                raise
        metrics.EVENTS.labels("truth", "accepted").inc(number)
        return JSONResponse({"accepted": number}, status_code=202)

    @app.post("/v1/truths", status_code=202)
    async def post_truths(request: Request) -> JSONResponse:
        """Take a JSON list of truths: all, or none with the reason."""
        body = await _body(request, collector.settings.body_bytes)
        try:
            return await keep(lambda: TRUTH_LIST.validate_json(body))
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            if any(each["type"] == "too_long" and not each["loc"] for each in found):
                raise RefusedError(413, "too large", str(truths.TooManyError())) from error
            detail = [{"place": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in found[:20]]
            raise HTTPException(422, detail) from error

    @app.post("/v1/truths/file", status_code=202)
    async def post_file(request: Request) -> JSONResponse:
        """Take a file of truths, `text/csv` or `application/vnd.apache.parquet`: all rows, or none with the reason."""
        body = await _body(request, collector.settings.body_bytes * FILE_FACTOR)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            return await keep(lambda: truths.from_file(body, content_type))
        except truths.TruthsError as error:
            raise HTTPException(422, str(error)) from error


def _add_questions(app: FastAPI, collector: Collector) -> None:
    @app.get("/v1/predictions/{request_id:path}")
    def get_prediction(request_id: str) -> dict[str, Any]:
        """Return all that is known of one request."""
        with collector.engine.connect() as connection:
            found = (
                connection.execute(
                    text(
                        "SELECT requests.*, object FROM requests LEFT JOIN archives ON archives.id = archive"
                        " WHERE request_id = :id"
                    ),
                    {"id": request_id},
                )
                .mappings()
                .one_or_none()
            )
            if found is None:
                raise HTTPException(404, f"request {request_id} is not in the log")
            rows = connection.execute(
                text(
                    "SELECT row, inputs::text AS inputs, output::text AS output FROM predictions"
                    " WHERE request_id = :id ORDER BY row"
                ),
                {"id": request_id},
            ).mappings()
            later = connection.execute(
                text(
                    "SELECT id, row, kind, value::text AS value, attributes::text AS attributes, at, received_at,"
                    " source, reviewer, confidence, superseded, delivery"
                    " FROM truths WHERE request_id = :id ORDER BY id"
                ),
                {"id": request_id},
            ).mappings()
            return {
                **{name: value for name, value in found.items() if name != "archive"},
                "rows": [_decoded(row) for row in rows],
                "truths": [_decoded(row) for row in later],
            }

    @app.get("/v1/requests")
    def get_requests(
        model: str | None = None,
        version: str | None = None,
        since: pydantic.AwareDatetime | None = None,
        until: pydantic.AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """Return requests, newest first."""
        asked = {"model": model, "version": version, "since": since, "until": until}
        conditions = {"model": "model = :model", "version": "version = :version"}
        conditions |= {"since": "at >= :since", "until": "at < :until"}
        values = {name: value for name, value in asked.items() if value is not None}
        where = " AND ".join(conditions[name] for name in values) or "true"
        statement = f"SELECT * FROM requests WHERE {where} ORDER BY at DESC LIMIT :limit"  # noqa: S608 (own names)
        with collector.engine.connect() as connection:
            found = connection.execute(text(statement), {**values, "limit": limit}).mappings()
            return [{name: value for name, value in row.items() if name != "archive"} for row in found]

    @app.get("/v1/dead-letters")
    def get_dead_letters(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
        """Return what was accepted and could not be read, newest first, with the reason.

        What it says stays here: no rule for sensitive columns could be applied to it.
        """
        with collector.engine.connect() as connection:
            found = connection.execute(
                text(
                    "SELECT key, kind, request_id, service, reason, at, octet_length(letter) AS size"
                    " FROM dead_letters ORDER BY at DESC LIMIT :limit"
                ),
                {"limit": limit},
            ).mappings()
            return [dict(row) for row in found]

    @app.post("/v1/replay")
    def post_replay(asked: Replay) -> dict[str, int]:
        """Bring dead letters or files back; returns when it is done."""
        if asked.source == "dead-letters":
            return replay_dead_letters(collector.engine, collector.new_store(), asked.since, asked.until)
        return replay_archive(
            collector.engine,
            collector.archive.bucket,
            model=asked.model,
            version=asked.version,
            since=asked.since.astimezone(dt.UTC).date(),
            until=asked.until.astimezone(dt.UTC).date(),
        )


def _add_probes(app: FastAPI, collector: Collector) -> None:
    async def alive(_: Request) -> Response:
        return Response(status_code=200 if collector.alive else 503)

    async def ready(_: Request) -> Response:
        # The database may be away: accepting events needs none.
        return Response(status_code=200 if collector.acceptance.alive else 503)

    async def exposition(_: Request) -> Response:
        found = await asyncio.to_thread(prometheus_client.generate_latest)
        return Response(found, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    for path, endpoint in {"/healthz": alive, "/readyz": ready, "/metrics": exposition}.items():
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)


async def _body(request: Request, limit: int) -> bytes:
    """Read the body, as far as it is allowed to go."""
    said = request.headers.get("content-length", "")
    found = bytearray()
    if not (said.isdecimal() and int(said) > limit):
        async for chunk in request.stream():
            found += chunk
            if len(found) > limit:
                break
        else:
            return bytes(found)
    raise _too_large(limit)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, "too large", f"the body is larger than {limit} bytes")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 (registered for it)
    metrics.REFUSED.labels(error.reason).inc()
    headers = {"retry-after": str(RETRY_SECONDS)} if error.status in {503, 507} else {}
    return JSONResponse({"detail": str(error)}, status_code=error.status, headers=headers)


async def _database_away(_: Request, error: Exception) -> Response:
    detail = f"the database cannot be asked: {str(getattr(error, 'orig', error)).strip()}"
    return JSONResponse({"detail": detail}, status_code=503, headers={"retry-after": str(RETRY_SECONDS)})


def _decoded(row: Any) -> dict[str, Any]:
    """Return a row with its JSON columns as what they mean; read as texts they are the same with every driver."""
    json = ("inputs", "output", "value", "attributes")
    return {name: orjson.loads(value or "null") if name in json else value for name, value in row.items()}
