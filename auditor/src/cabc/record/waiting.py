"""What waits for an answer, derived from the entries: triggers for a collection, collections for an assessment."""

from __future__ import annotations

from cabc.document.base import Model
from cabc.record.chain import answers, subject_of
from cabc.record.types import Assessment, Collection, Trigger

__all__ = ["Waiting"]


class Waiting:
    """Sees every body of the `collect` and `assess` chains in their order and knows afterwards what is left."""

    def __init__(self) -> None:
        self._triggers: dict[tuple[str, int], Trigger] = {}
        self._collections: dict[tuple[str, int], str] = {}
        self._assessed: set[tuple[str, str]] = set()

    def see(self, chain: str, seq: int, body: Model) -> None:
        """Take an entry into account."""
        match body:
            case Trigger():
                self._triggers[chain, seq] = body
            case Collection():
                self._collections[chain, seq] = body.id
                for place, trigger in list(self._triggers.items()):
                    if place[0] == chain and answers(body, trigger):
                        del self._triggers[place]
            case Assessment():
                self._assessed.add((subject_of(chain) or "", body.collection))
            case _:
                pass

    def rows(self) -> set[tuple[str, int, str]]:
        """Return what is left as chain, number and kind."""
        left = {(*place, "trigger") for place in self._triggers}
        for (chain, seq), id_ in self._collections.items():
            if (subject_of(chain) or "", id_) not in self._assessed:
                left.add((chain, seq, "collection"))
        return left
