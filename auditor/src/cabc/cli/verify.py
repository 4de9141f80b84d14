"""`cabc verify`: whether the record, or an archive of it, is what was recorded."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home

if TYPE_CHECKING:
    from cabc.record.keys import PublicKey
    from cabc.record.verify import Fault

__all__ = ["register"]


ArchiveOption = Annotated[
    Path | None, typer.Option("--archive", help="Archive written by `cabc export`; no home is needed.")
]
KeysOption = Annotated[
    Path | None, typer.Option("--keys", help="Folder of public keys to believe, in place of the home's or archive's.")
]
ReplayOption = Annotated[bool, typer.Option("--recompute/--no-recompute", help="Judge every assessment again.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    home: HomeOption = DEFAULT_HOME,
    archive: ArchiveOption = None,
    keys: KeysOption = None,
    *,
    replay: ReplayOption = True,
    as_json: JsonOption = False,
) -> None:
    """Check chains, signatures, anchors, evidence, published files; judge every assessment again. 1 for any fault."""
    from cabc.record.keys import Keys

    counts: Counter[str] = Counter()
    believed = Keys(keys).public() if keys else None
    if archive is not None:
        faults = _archive(archive, believed, counts, replay=replay)
    else:
        faults = _home(home, believed, counts, replay=replay)
    if as_json:
        found = [{"where": fault.where, "what": fault.what} for fault in faults]
        typer.echo(json.dumps({"holds": not faults, "faults": found, "checked": counts}, indent=2))
    else:
        _print(faults, counts)
        if archive is not None and believed is None and not faults:
            typer.echo("The keys are the archive's own: compare their ids with those of whom you trust, or use --keys.")
            for line in _key_lines(archive):
                typer.echo(line)
    if faults:
        raise typer.Exit(1)


def _home(folder: Path, believed: dict[str, PublicKey] | None, counts: Counter[str], *, replay: bool) -> list[Fault]:
    from cabc.engine.recompute import recompute
    from cabc.record.database import open_reader
    from cabc.record.keys import Keys
    from cabc.record.verify import verify as check

    place = open_home(folder)
    with open_reader(place.database) as record:
        return check(
            record,
            keys=Keys(place.keys) if believed is None else believed,
            anchors=place.anchors,
            published=place.published,
            recompute=recompute(record) if replay else None,
            counts=counts,
        )


def _archive(path: Path, believed: dict[str, PublicKey] | None, counts: Counter[str], *, replay: bool) -> list[Fault]:
    from cabc.engine.recompute import recompute
    from cabc.record.archive import verify_archive

    return verify_archive(path, keys=believed, recompute=recompute if replay else None, counts=counts)


def _print(faults: list[Fault], counts: Counter[str]) -> None:
    from cabc.text import one_line

    for fault in faults:
        typer.echo(f"✖ {one_line(str(fault), limit=500)}")
    seen = ", ".join(f"{number} {what}" for what, number in counts.items()) or "nothing"
    if faults:
        typer.echo(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}; looked at {seen}")
    else:
        typer.echo(f"✔ the record holds: {seen}")


def _key_lines(path: Path) -> list[str]:
    from cabc.record.archive import Archive

    with Archive(path) as archive:
        return [f"  {key.role:8} {key.id}" for key in sorted(archive.keys.values(), key=lambda key: key.role)]
