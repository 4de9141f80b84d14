"""`cabc token`: a token for a person or program, and the lines that let it in."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Annotated

import typer

from cabc.cli._common import JsonOption
from cabc.errors import CabcError

__all__ = ["register"]

DEFAULT_ROLES = ["reader"]
EVERYTHING = ["*"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token")(token)


def token(
    name: Annotated[str, typer.Argument(help="Whose it is; the name stands in waivers and attestations.")],
    roles: Annotated[
        list[str], typer.Option("--role", help="auditee, auditing-party, publisher, reader; may be given again.")
    ] = DEFAULT_ROLES,
    subjects: Annotated[
        list[str], typer.Option("--subject", help="Subject it is for, every one when not given; may be given again.")
    ] = EVERYTHING,
    *,
    json_: JsonOption = False,
) -> None:
    """Make a token for the service; settings keep only its hash, so this is the one time it is shown."""
    from cabc.service.access import Role

    known = [role.value for role in Role]
    for role in roles:
        if role not in known:
            msg = f"{role!r} is no role"
            raise CabcError(msg, fix=f"Roles are {', '.join(known)}.")
    word = secrets.token_urlsafe(32)
    entry = {"name": name, "sha256": hashlib.sha256(word.encode()).hexdigest(), "roles": roles, "subjects": subjects}
    if json_:
        typer.echo(json.dumps({"token": word, "entry": entry}, indent=2))
        return
    typer.echo(f"token: {word}\n\nAdd to cabc.yaml and start the service again:\n\nservice:\n  tokens:")
    typer.echo(f"    - {json.dumps(entry)}")
