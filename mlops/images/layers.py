"""Writes a layer of an image: the same files give the same bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from mlops.errors import OperationError

__all__ = ["write"]


def write(archive: Path, context: Path, files: Mapping[str, str]) -> None:
    """Write a tar with the files and folders of `context`, each at the path that `files` gives it, owned by root."""
    placed = dict(sorted(_placed(context, files)))
    parents = {parent for target in placed for parent in PurePosixPath(target).parents if parent.name}
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as layer:
        for parent in sorted(parents):
            entry = tarfile.TarInfo(str(parent))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(entry)
        for target, source in placed.items():
            entry = tarfile.TarInfo(target)
            entry.size = source.stat().st_size
            entry.mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
            with source.open("rb") as content:
                layer.addfile(entry, content)


def _placed(context: Path, files: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for name, target in files.items():
        source, place = context / name, target.lstrip("/")
        if source.is_file():
            yield place, source
        elif source.is_dir():
            inner = (file for file in source.rglob("*") if file.is_file())
            yield from ((f"{place}/{file.relative_to(source)}", file) for file in inner)
        else:
            msg = f"the recipe copies {name}, which is neither in the image's folder nor built for it"
            raise OperationError(msg)
