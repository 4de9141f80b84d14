"""The specifications that this auditor runs, and those that earlier assessments used."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import structlog

from cabc.document.loaded import LoadedDocument
from cabc.document.model import NestedDocument
from cabc.document.problems import ProblemsError
from cabc.errors import CabcError
from cabc.loading import load, load_text
from cabc.record.store import Record
from cabc.triggers.files import FileWatch

__all__ = ["Documents"]

KEPT = 32
"""Earlier specifications that stay in memory."""
log = structlog.stdlib.get_logger("cabc.documents")


class Documents:
    """Documents by subject. One with mistakes does not replace the good one that was there before."""

    def __init__(self, files: list[Path], record: Record) -> None:
        self._record = record
        self._files = files
        self._watch = FileWatch(files)
        self._current: dict[str, LoadedDocument] = {}
        self._by_file: dict[Path, str] = {}
        self._earlier: OrderedDict[str, LoadedDocument] = OrderedDict()
        self._lock = Lock()
        self.problems: dict[Path, CabcError] = {}
        for file in files:
            self._load(file)

    def refresh(self) -> list[str]:
        """Read files that changed; return the subjects whose document is another one now."""
        return [subject for file in self._watch.changed() if (subject := self._load(file)) is not None]

    def _load(self, file: Path) -> str | None:
        try:
            document = load(file)
            subject = document.specification.subject.name
            other = next((path for path, name in self._by_file.items() if name == subject and path != file), None)
            if other is not None:
                msg = f"{file}: {other} is about the subject {subject} already"
                raise CabcError(msg, fix="Give each subject one document.")
        except (CabcError, OSError) as error:
            self.problems[file] = error if isinstance(error, CabcError) else CabcError(str(error))
            mistakes = len(error.problems) if isinstance(error, ProblemsError) else 1
            log.error("document refused", file=str(file), mistakes=mistakes, reason=str(error)[:500])  # noqa: TRY400 (the reason is the document's, no traceback of ours)
            return None
        self.problems.pop(file, None)
        before = self._current.get(subject)
        if (renamed := self._by_file.get(file)) not in {None, subject}:
            self._current.pop(str(renamed), None)
        self._by_file[file] = subject
        self._current[subject] = document
        return subject if before is None or before.digest != document.digest else None

    def subjects(self) -> list[str]:
        """Return the subjects that have a document here."""
        return sorted(self._current)

    def problem(self, subject: str) -> str | None:
        """Return why the subject's file cannot be used as it is now, in one line."""
        for file, error in self.problems.items():
            if self._by_file.get(file) == subject:
                return str(error).splitlines()[0]
        return None

    def current(self, subject: str) -> LoadedDocument | None:
        """Return the document that the next run will use."""
        return self._current.get(subject)

    def at(self, digest: str) -> LoadedDocument | None:
        """Return the document with this digest, out of the record when it is not the current one."""
        for document in list(self._current.values()):
            if document.digest == digest:
                return document
        with self._lock:
            found = self._earlier.get(digest)
            if found is None:
                text = self._record.document(digest)
                if text is None:
                    return None
                found = self._earlier[digest] = load_text(text, digest, self._nested)
                while len(self._earlier) > KEPT:
                    self._earlier.popitem(last=False)
            self._earlier.move_to_end(digest)
            return found

    def _nested(self, nested: NestedDocument) -> bytes:
        text = self._record.document(nested.digest)
        if text is None:
            msg = f"the record holds no document {nested.digest}"
            raise CabcError(msg)
        return text
