"""The real auditor's service over a real record, beside a platform in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from cabc.loading import load
from cabc.record.archive import export
from cabc.record.database import DatabaseRecord
from cabc.record.types import Status, Verdict
from cabc.service.app import create_app

from mlops.loop.cluster import Answer
from tests.support.loop import FakePlatform
from tests.support.loop_parts import Part
from tests.support.service import NOW, Paper, Seeder, make_home, token

__all__ = ["NAME", "AuditorPart"]

NAME = "loan-approval"

WORDS = {
    "credit-scoring": NAME,
    "credit/scoring": f"models/{NAME}",
    "id: bias": "id: fair-at-training",
    "[R1]": "[unfair-decisions]",
    "id: R1": "id: unfair-decisions",
}
"""What a specification of the tests says, in the words of the example's."""


class AuditorPart(Part):
    """The real service, called without a network; whoever asks for a run gets one at once."""

    name = "cabc-auditor"

    def __init__(self, folder: Path, record: DatabaseRecord) -> None:
        self.folder, self.record = folder, record
        self.home = make_home(folder)
        for file in folder.glob("*.yaml"):
            text = file.read_text()
            for word, other in WORDS.items():
                text = text.replace(word, other)
            file.write_text(text)
        self.seeder = Seeder(record, load(folder / "credit.yaml"))
        self.begin()
        self.values: dict[str, tuple[Any, Verdict]] = {}
        self.status = Status.CONFORMANT
        self.version = "2"

    def answer(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Answer:
        del platform
        if not self.replicas:
            return Answer(503, {}, "no endpoints available")
        headers = {"Authorization": f"Bearer {token('auditing-party')}"}
        method = "GET" if body is None else "POST"

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.application, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://cabc.test", headers=headers) as client:
                return await client.request(method, path, params=dict(query), json=body)

        found = asyncio.run(call())
        if path.endswith("/triggers") and found.is_success:
            return Answer(202, {}, f'{{"id": "{self.assess()}"}}')
        return Answer(found.status_code, dict(found.headers), found.text, found.content)

    def now(self) -> dt.datetime:
        """Return the time by the service's clock."""
        return NOW

    def begin(self) -> None:
        """Start the service: it reads its documents then."""
        self.application = create_app(
            self.home, record=self.record, now=self.now, steps=lambda _: Paper(self.record), work=False
        )

    def assess(self) -> str:
        """Record one cycle now; return the id of its trigger."""
        self.seeder.cycle(
            self.now() - dt.timedelta(minutes=5 - self.seeder.numbers), self.status, self.values, version=self.version
        )
        return f"t-{NAME}-{self.seeder.numbers}"

    def archive(self) -> bytes:
        """Export the subject's record."""
        file = self.folder / "record.zip"
        export(self.record, NAME, file, keys=self.record.keys)
        return file.read_bytes()
