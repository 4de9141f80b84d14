"""`cabc token` and what the service makes of its lines."""

from __future__ import annotations

import asyncio
import json

import pytest
import typer
from cabc.cli.token import register
from cabc.document.source import read
from cabc.errors import CabcError
from cabc.home import Settings
from cabc.service.access import Role
from cabc.service.authentication import Authenticator
from typer.testing import CliRunner


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["token", *arguments], catch_exceptions=False, standalone_mode=False)
    if isinstance(result.return_value, Exception):
        raise result.return_value
    return result.output


def test_the_printed_lines_let_the_token_in() -> None:
    text = run("ann", "--role", "auditing-party", "--role", "reader", "--subject", "churn")
    word = text.splitlines()[0].removeprefix("token: ")
    settings = read(Settings, text[text.index("service:") :].encode(), "cabc.yaml")
    found = asyncio.run(Authenticator(settings.service).principal(word))
    assert found is not None
    assert (found.name, found.roles, found.subjects) == ("ann", {Role.AUDITING_PARTY, Role.READER}, {"churn"})
    assert word not in str(settings)


def test_every_token_is_another() -> None:
    assert len({json.loads(run("ann", "--json"))["token"] for _ in range(20)}) == 20


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CabcError, match="'admin' is no role"):
        run("ann", "--role", "admin")
