"""Whether the interfaces of a document can be retrieved: which keys go together, patterns, paths, connections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from cabc.document.explain import similar
from cabc.document.interfaces import (
    AssessorInterface,
    FileInterface,
    InterfaceSpec,
    KubernetesInterface,
    LogInterface,
    MlflowInterface,
    RestInterface,
)
from cabc.document.model import InterfaceTarget, Measurement
from cabc.document.nodes import quoted
from cabc.interfaces.base import ExtractError
from cabc.interfaces.extraction import compiled, queried
from cabc.loading.context import Context
from cabc.loading.elements import ROOT, Keys
from cabc.loading.references import known_facts

__all__ = ["check_retrieval"]

_POINTER = re.compile(r"(/([^~/]|~0|~1)*)*\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FORMATS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv", ".parquet": "parquet"}
_PLACES = re.compile(r"\$\{([^}]*)\}")
_SELECTORS = ("pointer", "jsonpath", "regex")
_FACTS = ("metric", "param", "tag", "field", "artifact")


def check_retrieval(context: Context) -> None:
    """Check every interface, of values as of targets."""
    subject = context.specification.subject
    if subject.connection is not None:
        _connection(context, (*ROOT, "subject", "connection"), subject.connection, "mlflow")
    for spec, keys in _interfaces(context):
        _selectors(context, spec, keys)
        _patterns(context, spec, keys)
        _facts(context, spec, keys)
        connection = getattr(spec, "connection", None)
        if isinstance(connection, str):
            _connection(context, (*keys, "connection"), connection, spec.kind)
        match spec:
            case RestInterface():
                _rest(context, spec, keys)
            case FileInterface():
                _file(context, spec, keys)
            case MlflowInterface():
                _mlflow(context, spec, keys)
            case KubernetesInterface():
                _kubernetes(context, spec, keys)
            case LogInterface():
                _log(context, spec, keys)
            case AssessorInterface():
                _assessor(context, spec, keys)
            case _:
                pass


def _interfaces(context: Context) -> Iterator[tuple[InterfaceSpec, Keys]]:
    for place in context.places:
        element = place.element
        if element.interface is not None:
            yield element.interface, (*place.keys, "interface")
        if isinstance(element, Measurement) and isinstance(element.target, InterfaceTarget):
            yield element.target.interface, (*place.keys, "target", "interface")


def _given(spec: InterfaceSpec, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(spec, name, None) is not None]


def _selectors(context: Context, spec: InterfaceSpec, keys: Keys) -> None:
    """Say when more than one of pointer, JSONPath and pattern would select."""
    given = _given(spec, _SELECTORS)
    for name in given[1:]:
        found = f"{name} beside {given[0]}"
        context.say((*keys, name), found, "one of pointer, jsonpath, regex", "remove the others", key=True)


def _patterns(context: Context, spec: InterfaceSpec, keys: Keys) -> None:
    pointer, jsonpath, regex = (getattr(spec, name, None) for name in _SELECTORS)
    if isinstance(pointer, str) and not _POINTER.match(pointer):
        fix = f"write /{pointer}" if not pointer.startswith("/") else "write ~0 for ~ and ~1 for / inside a name"
        context.say((*keys, "pointer"), quoted(pointer), "a JSON pointer (RFC 6901), like /a/0/b", fix)
    if isinstance(jsonpath, str) and not isinstance(spec, KubernetesInterface):
        _jsonpath(context, (*keys, "jsonpath"), jsonpath)
    if isinstance(regex, str):
        _regex(context, spec, (*keys, "regex"), regex)


def _jsonpath(context: Context, keys: Keys, path: str) -> None:
    try:
        queried({}, path)
    except ExtractError as error:
        fix = f"write ${path if path[:1] in '.[' else f'.{path}'}" if not path.startswith("$") else str(error)
        context.say(keys, quoted(path), "a JSONPath (RFC 9535), like $.a[0].b", fix)


def _regex(context: Context, spec: InterfaceSpec, keys: Keys, pattern: str) -> None:
    try:
        groups = int(compiled(pattern).groups)
    except ExtractError as error:
        reason = str(error).partition(" is no RE2 pattern: ")[2].removeprefix("b'").removesuffix("'")
        context.say(keys, quoted(pattern), "an RE2 pattern (no look-around, no back-references)", reason or None)
        return
    if isinstance(spec, LogInterface):
        if groups > 1:
            context.say(keys, f"{groups} groups", "at most one group", "write (?:…) for the others")
    elif groups != 1:
        fix = "write (?:…) for the others" if groups else "put ( and ) around what is the value"
        context.say(keys, f"{groups} groups", "exactly one group", fix)


def _facts(context: Context, spec: InterfaceSpec, keys: Keys) -> None:
    """Check the names in `${subject.…}`."""
    known = known_facts()
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        texts = value.items() if isinstance(value, dict) else [("", value)]
        for key, text in texts:
            for place in _PLACES.findall(text) if isinstance(text, str) else ():
                if place not in known:
                    meant = similar(place, known)
                    at = (*keys, field.alias or name, *([key] if key else []))
                    fix = f"did you mean ${{{meant}}}?" if meant else None
                    context.say(at, quoted(f"${{{place}}}"), f"one of {', '.join(known)}", fix)


def _connection(context: Context, keys: Keys, name: str, kind: str) -> None:
    """Check the name against the operator's connections, when these are known."""
    if context.connections is None:
        return
    if name not in context.connections:
        context.unknown(keys, name, context.connections, "a connection", "add it to the connections file")
    elif context.connections[name] != kind:
        context.say(keys, f"{name!r}, a connection of kind {context.connections[name]}", f"one of kind {kind}")


def _relative(context: Context, keys: Keys, path: str, below: str) -> None:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or "\\" in path or ".." in parts or _SCHEME.match(path):
        context.say(
            keys, quoted(path), f"a relative path below {below}", "write it without .., \\, / in front or scheme:"
        )


def _rest(context: Context, spec: RestInterface | AssessorInterface, keys: Keys) -> None:
    path = spec.path
    if not path.startswith("/"):
        fix = "remove scheme and host: the operator's connection has them" if _SCHEME.match(path) else f"write /{path}"
        context.say((*keys, "path"), quoted(path), "a path that begins with a slash", fix)
    elif "//" in path or ".." in path.split("/") or "\\" in path or "#" in path:
        wanted = "a path below the connection's address, without .., //, \\ and #"
        context.say((*keys, "path"), quoted(path), wanted)
    elif "?" in path:
        context.say((*keys, "path"), quoted(path), "a path without a query", "write the parameters under `query:`")


def _file(context: Context, spec: FileInterface, keys: Keys) -> None:
    _relative(context, (*keys, "path"), spec.path, "the connection's folder")
    form = spec.format or _FORMATS.get(PurePosixPath(spec.path).suffix.lower(), "text")
    tabular = form in ("csv", "parquet")
    if tabular and spec.column is None and spec.reduce != "count":
        context.say((*keys, "path"), f"a {form} file without a column", "`column`", "add `column:`, or reduce: count")
    if spec.column is not None and not tabular:
        context.say((*keys, "column"), f"a column of a {form} file", "a CSV or Parquet file", "remove it", key=True)
    for name in _given(spec, _SELECTORS):
        wanted = {"regex": ("text",)}.get(name, ("json", "yaml"))
        if form not in wanted and not (name == "regex" and not tabular):
            found = f"{name} for a {form} file"
            context.say((*keys, name), found, f"a file of format {' or '.join(wanted)}", "correct `format:`", key=True)


def _mlflow(context: Context, spec: MlflowInterface, keys: Keys) -> None:
    given = _given(spec, _FACTS)
    if not given:
        context.say(keys, "nothing that is asked for", f"one of {', '.join(_FACTS)}", "add one, for example `metric:`")
    for name in given[1:]:
        found = f"{name} beside {given[0]}"
        context.say((*keys, name), found, f"one of {', '.join(_FACTS)}", "write a measurement for each", key=True)
    if spec.pointer is not None and spec.artifact is None:
        context.say((*keys, "pointer"), "a pointer without an artifact", "both", "add `artifact:`", key=True)
    if spec.artifact is not None:
        _relative(context, (*keys, "artifact"), spec.artifact, "the run's artifacts")
    if context.audited.registered_model is None:
        wanted = "`subject.registeredModel`, which it asks about"
        context.say(
            (*keys, "kind"), "'mlflow' for a subject without a registered model", wanted, "add it to `subject:`"
        )


def _kubernetes(context: Context, spec: KubernetesInterface, keys: Keys) -> None:
    if spec.name is None and context.audited.inference_service is None:
        fix = "add `name:` and `namespace:`, or `inferenceService:` to the subject"
        context.say(keys, "no object to read", "the name of an object", fix)
    path = spec.jsonpath
    _jsonpath(context, (*keys, "jsonpath"), f"${path}" if path[:1] in (".", "[") else path)


def _log(context: Context, spec: LogInterface, keys: Keys) -> None:
    given = _given(spec, ("path", "query"))
    if len(given) != 1:
        found = "both path and query" if given else "neither path nor query"
        context.say(keys, found, "exactly one of them", "write `path:` for a file, `query:` for a log service")
    if spec.path is not None:
        _relative(context, (*keys, "path"), spec.path, "the connection's folder")


def _assessor(context: Context, spec: AssessorInterface, keys: Keys) -> None:
    _rest(context, spec, keys)
    if spec.returns == "value":
        if spec.spec_digest is not None:
            found = "a specDigest for a value"
            context.say((*keys, "specDigest"), found, "returns: result", "remove it, or take the result", key=True)
        return
    if spec.spec_digest is None:
        wanted = "`specDigest` (which specification that party assessed)"
        context.say((*keys, "specDigest"), "nothing", wanted, "add `specDigest: sha256:…`")
    for name in (*_given(spec, (*_SELECTORS, "reduce", "cast")),):
        found = f"{name} for a signed result"
        context.say((*keys, name), found, "the result as that party signed it", "remove it", key=True)
