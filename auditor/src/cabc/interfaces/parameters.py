"""`${subject.version}` and its like in what a document asks for.

Facts about the subject come from a registry that the auditee writes, so a value may never change what is asked: only
harmless characters are taken, quoted for the place where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from cabc.interfaces.base import RetrieveError, SubjectFacts

__all__ = ["facts", "fill", "fill_path", "fill_query"]

_PLACE = re.compile(r"\$\{([^}]*)\}")
_HARMLESS = re.compile(r"[A-Za-z0-9._:@+/-]{1,300}")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:@+-]{1,300}")
_STRING = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|\#[^\n]*""")
_MATCHES = re.compile(r"(?:=~|!~|\|~)\s*$")


def facts(subject: SubjectFacts) -> dict[str, str]:
    """Return the facts that may be used, by name: `subject.version`, `subject.runId` and so on."""
    known = {f"subject.{key}": value for key, value in subject.model_dump().items() if isinstance(value, str)}
    if subject.inference_service:
        namespace, _, service = subject.inference_service.partition("/")
        known |= {"subject.namespace": namespace, "subject.serviceName": service}
    return known


def _value(name: str, subject: SubjectFacts, harmless: re.Pattern[str]) -> str:
    known = facts(subject)
    if name not in known:
        msg = f"${{{name}}} is not known; known are {', '.join(sorted(known))}"
        raise RetrieveError(msg)
    if not harmless.fullmatch(known[name]):
        msg = f"the value of ${{{name}}} has characters that may not be put into a request"
        raise RetrieveError(msg)
    return known[name]


def fill(text: str, subject: SubjectFacts) -> str:
    """Put the facts into a text that is sent as a value of its own."""
    return _PLACE.sub(lambda place: _value(place[1], subject, _HARMLESS), text)


def fill_path(path: str, subject: SubjectFacts) -> str:
    """Put the facts into a path; each stays inside its segment."""
    return _PLACE.sub(lambda place: quote(_value(place[1], subject, _SEGMENT), safe="@:+"), path)


def fill_query(query: str, subject: SubjectFacts) -> str:
    """Put the facts into PromQL or LogQL, inside string literals only; in a regular expression they match literally."""
    done, end = [], 0
    for literal in _STRING.finditer(query):
        between = query[end : literal.start()]
        done += [_without(between), _PLACE.sub(_into(literal, between, subject), literal[0])]
        end = literal.end()
    return "".join([*done, _without(query[end:])])


def _without(code: str) -> str:
    if _PLACE.search(code):
        msg = 'a fact about the subject must stand inside quotes in a query: {version="${subject.version}"}'
        raise RetrieveError(msg)
    return code


def _into(literal: re.Match[str], before: str, subject: SubjectFacts) -> Callable[[re.Match[str]], str]:
    def value(place: re.Match[str]) -> str:
        plain = _value(place[1], subject, _HARMLESS)
        if not _MATCHES.search(before):
            return plain
        escaped = re.sub(r"([.+])", r"\\\1", plain)
        return escaped if literal[0].startswith("`") else escaped.replace("\\", "\\\\")

    return value
