"""Load a document with all that hangs below it, or say everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cabc.document.loaded import LoadedDocument
from cabc.document.model import (
    ConformitySpecification,
    Dimension,
    Document,
    NestedDocument,
    Requirement,
    SubjectSelector,
)
from cabc.document.nodes import quoted
from cabc.document.problems import Problem, ProblemsError
from cabc.document.source import Limits, Source, read_source
from cabc.errors import CabcError
from cabc.loading.context import Context
from cabc.loading.elements import Place
from cabc.loading.flattening import Flattener, Inherited
from cabc.loading.measurements import check_measurements
from cabc.loading.reading import inside, read_file
from cabc.loading.references import check_references
from cabc.loading.retrieval import check_retrieval
from cabc.loading.structure import check_structure

__all__ = ["Nested", "digest_of", "load", "load_text"]

Nested = Callable[[NestedDocument], bytes]
"""Gives the bytes of a nested document; its path is relative to the outermost one. CabcError when it cannot."""

_DEPTH = 5
_DOCUMENTS = 200
_BYTES = 20_000_000


def digest_of(text: bytes) -> str:
    """Return the digest that names these bytes."""
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def load(path: Path, *, connections: Mapping[str, str] | None = None, limits: Limits = Limits()) -> LoadedDocument:  # noqa: B008 (frozen)
    """Return the document in a file with its nested ones; ProblemsError with every mistake in any of them.

    `connections` are the operator's, kind by name; references are checked against them when they are given.
    """
    folder = path.parent

    def nested(document: NestedDocument) -> bytes:
        return read_file(folder, document.path, limits.size)

    try:
        with path.open("rb") as file:
            text = file.read(limits.size + 1)
    except OSError as error:
        msg = f"{path}: {(error.strerror or 'cannot be read').lower()}"
        raise CabcError(msg, fix="Give the path of a conformity specification.") from error
    return load_text(text, str(path), nested, connections=connections, limits=limits)


def load_text(
    text: bytes,
    file: str,
    nested: Nested,
    *,
    connections: Mapping[str, str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> LoadedDocument:
    """Return the document in a text; nested ones come from `nested`, wherever that has them."""
    loader = _Loader(nested, dict(connections) if connections is not None else None, limits)
    outermost = loader.document(text, _Way(file, PurePosixPath(), (), None, None))
    if loader.problems or outermost is None:
        raise ProblemsError(loader.problems)
    flattener = Flattener({digest: parsed.specification for digest, parsed in loader.parsed.items()})
    return loader.loaded(outermost, Inherited(), flattener)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one came to a document."""

    file: str
    folder: PurePosixPath
    """Of the document, relative to the outermost one's."""
    above: tuple[str, ...]
    """Digests of the documents that hold it."""
    frequency: str | None
    subject: SubjectSelector | None


@dataclass(slots=True)
class _Parsed:
    specification: ConformitySpecification
    text: bytes
    digest: str
    holds: dict[str, Inherited] = field(default_factory=dict)
    """Digests of the documents it nests, with what the first holder hands down."""


class _Loader:
    """Reads and checks each document once for each way of inheriting."""

    def __init__(self, nested: Nested, connections: dict[str, str] | None, limits: Limits) -> None:
        self.nested = nested
        self.connections = connections
        self.limits = limits
        self.problems: list[Problem] = []
        self.parsed: dict[str, _Parsed] = {}
        self.seen: set[tuple[str, PurePosixPath, bool]] = set()
        self.bytes = 0
        self.done: dict[str, LoadedDocument] = {}

    def document(self, text: bytes, way: _Way) -> _Parsed | None:
        digest = digest_of(text)
        try:
            source = read_source(Document, text, way.file, self.limits)
        except ProblemsError as error:
            self.problems += error.problems
            return None
        specification = source.model.conformity_specification
        parsed = self.parsed.setdefault(digest, _Parsed(specification, text, digest))
        context = Context(source, way.frequency, way.subject, self.connections)
        try:
            for check in (check_structure, check_references, check_retrieval, check_measurements):
                check(context)
        except ProblemsError:
            return None
        finally:
            self.problems += context.problems
        for place in context.places:
            element = place.element
            if isinstance(element, Dimension | Requirement) and element.document is not None:
                self.below(source, place, element.document, parsed, way)
        return parsed

    def below(self, source: Source[Document], place: Place, held: NestedDocument, holder: _Parsed, way: _Way) -> None:
        """Load a nested document, or say at its holder why not."""

        def say(key: str, found: str, wanted: str, fix: str | None = None) -> None:
            self.problems.append(source.problem((*place.keys, "document", key), found, wanted, fix))

        path = inside(held.path)
        if path is None:
            say(
                "path",
                quoted(held.path),
                "a relative path in the document's folder",
                "put the document beside this one",
            )
            return
        path = way.folder / path
        above = (*way.above, holder.digest)
        if len(above) > _DEPTH:
            say("path", f"a document nested {len(above)} deep", f"at most {_DEPTH}", "nest it higher")
            return
        try:
            text = self.nested(held.model_copy(update={"path": str(path)}))
        except CabcError as error:
            say("path", str(error), "a document that can be read")
            return
        digest = digest_of(text)
        if digest in above:
            say("path", f"{held.path!r}, which holds this document", "no circle", "remove it")
        elif digest != held.digest:
            say("digest", held.digest, f"the digest of {held.path}, {digest}", "compare the file with what was agreed")
        else:
            inherited = _inherited(place, way)
            holder.holds.setdefault(digest, inherited)
            subject = way.subject or source.model.conformity_specification.subject
            file = str(PurePosixPath(way.file).parent / held.path)
            self.enter(text, _Way(file, path.parent, above, inherited.frequency, subject), say)

    def enter(self, text: bytes, way: _Way, say: Callable[..., None]) -> None:
        key = (digest_of(text), way.folder, way.frequency is None)
        if key in self.seen:
            return
        self.seen.add(key)
        self.bytes += len(text)
        if len(self.seen) > _DOCUMENTS or self.bytes > _BYTES:
            say("path", "more nested documents than can be read", f"at most {_DOCUMENTS}, {_BYTES:,} bytes together")
            return
        self.document(text, way)

    def loaded(self, parsed: _Parsed, inherited: Inherited, flattener: Flattener) -> LoadedDocument:
        """Return a document with its nested ones, each laid out once, as its first holder has it."""
        if parsed.digest not in self.done:
            nested: dict[str, LoadedDocument] = {}
            for digest, handed_down in parsed.holds.items():
                document = self.loaded(self.parsed[digest], handed_down, flattener)
                nested |= {digest: document, **document.nested}
            requirements = flattener.flatten(parsed.specification, parsed.digest, inherited)
            document = LoadedDocument(parsed.specification, parsed.text, parsed.digest, nested, requirements)
            self.done[parsed.digest] = document
        return self.done[parsed.digest]


def _inherited(place: Place, way: _Way) -> Inherited:
    inherited = Inherited(frequency=way.frequency)
    for element in (*place.above, place.element):
        inherited = inherited.of(element)
    return inherited
