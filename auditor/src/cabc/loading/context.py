"""What every check of a document's meaning needs, and where it says what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from cabc.document.explain import similar
from cabc.document.model import ConformitySpecification, Document, Element, Party, SubjectSelector
from cabc.document.problems import Problem, ProblemsError
from cabc.document.source import Source
from cabc.loading.elements import Keys, Place, places

__all__ = ["Context"]

_SHOWN = 10
_MANY = 500


@dataclass
class Context:
    """One document under check, and what it inherits from the one that holds it."""

    source: Source[Document]
    frequency: str | None = None
    """Of the element that holds the document."""
    subject: SubjectSelector | None = None
    """Of the outermost document: it is what is audited."""
    connections: dict[str, str] | None = None
    """Kind of each of the operator's connections by name, when they are known."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def specification(self) -> ConformitySpecification:
        """Return the document's one content."""
        return self.source.model.conformity_specification

    @property
    def audited(self) -> SubjectSelector:
        """Return what is audited."""
        return self.subject or self.specification.subject

    @cached_property
    def places(self) -> list[Place]:
        """All elements with their places."""
        return list(places(self.specification))

    @cached_property
    def parties(self) -> dict[str, Party]:
        """The document's parties by id."""
        return {party.id: party for party in self.specification.parties}

    def say(self, keys: Keys, found: str, wanted: str, fix: str | None = None, *, key: bool = False) -> None:
        """Note a problem at a value, or at its key; ProblemsError after so many that nobody reads on."""
        self.problems.append(self.source.problem(keys, found, wanted, fix, key=key))
        if len(self.problems) > _MANY:
            raise ProblemsError(self.problems)

    def unknown(self, keys: Keys, word: str, known: Iterable[str], what: str, fix: str, *, key: bool = False) -> None:
        """Note a name that is not among the known ones."""
        names = list(islice(known, 1_000))
        meant = similar(word, names)
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        wanted = f"the id of {what} ({shown})" if names else f"the id of {what}"
        self.say(keys, repr(word), wanted, f"did you mean {meant}?" if meant else fix, key=key)

    def unique(self, keys: Keys, elements: Iterable[Element | Party | object]) -> None:
        """Note ids that stand more than once in a list."""
        first: dict[str, int] = {}
        for index, element in enumerate(elements):
            name = str(getattr(element, "id", ""))
            if name in first:
                line = self.source.problem((*keys, first[name], "id"), "", "").line
                wanted = f"an id of its own among its siblings (it is taken in line {line})"
                self.say((*keys, index, "id"), repr(name), wanted, "rename one of them")
            else:
                first[name] = index
