"""A chain shows what was changed, removed, inserted or cut off."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cabc_platform.documents import Document, canonical, verify
from hypothesis import given
from hypothesis import strategies as some

from mlops.errors import OperationError
from mlops.evidence.document import KEPT, LARGEST, following
from mlops.evidence.keeping import united


def chain(length: int) -> list[Document]:
    found: list[Document] = []
    for number in range(length):
        found.append(following(found, "served", {"served": {"items": [number], "leftOut": 0}}))
    return found


def changed(entry: Document) -> Document:
    return Document(entry.text.replace('"leftOut":0', '"leftOut":1'))


DAMAGES: dict[str, Callable[[list[Document]], list[Document]]] = {
    "changed": lambda whole: [*whole[:2], changed(whole[2]), *whole[3:]],
    "removed": lambda whole: [*whole[:2], *whole[3:]],
    "first removed": lambda whole: whole[1:],
    "twice": lambda whole: [*whole[:3], *whole[2:]],
    "in another order": lambda whole: [whole[1], whole[0], *whole[2:]],
    "spelled otherwise": lambda whole: [Document(json.dumps(whole[0].body)), *whole[1:]],
    "no document": lambda whole: [*whole[:2], Document("nothing"), *whole[3:]],
    "a list": lambda whole: [*whole[:2], Document("[]"), *whole[3:]],
    "of another kind": lambda whole: [Document(canonical({**whole[0].body, "kind": "other"})), *whole[1:]],
}


def test_a_chain_that_holds() -> None:
    assert verify(chain(6)) == []
    assert verify([]) == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found(damage: Callable[[list[Document]], list[Document]]) -> None:
    assert verify(damage(chain(6)))


def test_a_gap_is_named() -> None:
    whole = chain(6)
    (fault,) = verify([whole[0], *whole[3:]])
    assert str(fault) == "served-4: follows served-1: 2 to 3 is missing"


@given(some.integers(0, 5), some.integers(0, 400), some.characters(codec="ascii"))
def test_no_changed_character_goes_unseen_once_something_follows(which: int, place: int, letter: str) -> None:
    whole = chain(7)
    text = whole[which].text
    place %= len(text)
    other = Document(text[:place] + letter + text[place + 1 :])
    faults = verify([*whole[:which], other, *whole[which + 1 :]])
    assert bool(faults) == (other.text != text)


def test_a_chain_may_begin_where_its_last_document_says() -> None:
    whole = chain(KEPT + 3)
    assert verify(whole[3:]) == []
    (fault,) = verify(whole[4:])
    assert str(fault) == "served-5: is the first, wanted number 4: earlier documents are missing"
    assert verify([*whole[3:50], *whole[51:]])


def test_a_document_that_is_too_large_is_refused() -> None:
    with pytest.raises(OperationError, match="at most"):
        following([], "served", {"served": "x" * LARGEST})


def test_both_places_complete_each_other() -> None:
    whole = chain(5)
    assert united(whole[:3], whole[1:]) == whole
    with pytest.raises(OperationError, match="document 2"):
        united(whole, [changed(whole[1])])
