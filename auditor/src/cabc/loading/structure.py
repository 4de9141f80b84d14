"""How the levels hold together: what stands below what, who answers for it, how verdicts combine, how often."""

from __future__ import annotations

from cabc.document.interfaces import AssessorInterface
from cabc.document.model import (
    AtLeast,
    Dimension,
    Element,
    Measurement,
    Metric,
    Requirement,
    Weighted,
)
from cabc.loading.context import Context
from cabc.loading.elements import ROOT, Place
from cabc.loading.frequency import parse_frequency

__all__ = ["answers_itself", "check_structure"]

_CONTENT = {"specification": "dimensions", "dimension": "requirements", "requirement": "metrics"}


def answers_itself(element: Element) -> bool:
    """Tell whether an external assessor's result stands in place of everything below the element."""
    interface = element.interface
    return not isinstance(element, Measurement) and isinstance(interface, AssessorInterface)


def check_structure(context: Context) -> None:
    """Check every level of the document."""
    context.unique((*ROOT, "dimensions"), context.specification.dimensions)
    for place in context.places:
        element = place.element
        match element:
            case Dimension():
                context.unique((*place.keys, "requirements"), element.requirements)
            case Requirement():
                context.unique((*place.keys, "metrics"), element.metrics)
                _resolved(context, place)
            case Metric():
                context.unique((*place.keys, "measurements"), element.measurements)
                _aggregate(context, place, element)
            case _:
                pass
        _content(context, place)
        _assessor(context, place)
        _frequency(context, place)


def _content(context: Context, place: Place) -> None:
    """Of what an element can hold exactly one is there; nothing to evaluate must not read as conformant."""
    element = place.element
    if isinstance(element, Measurement):
        return
    if isinstance(element, Metric):
        if not element.measurements and not answers_itself(element):
            context.say(place.keys, "a metric without measurements", "at least one", "add `measurements:`")
        if element.measurements and answers_itself(element):
            _both(context, place, "measurements")
        return
    name = _CONTENT[place.level]
    held = [name] if getattr(element, name) else []
    if isinstance(element, Dimension | Requirement) and element.document is not None:
        held.append("document")
    if not held and element.assessor is None and element.interface is None:
        others = "`document:` or an assessor with its interface" if name != "dimensions" else "an assessor's interface"
        context.say(place.keys, f"a {place.level} without {name}", "something to assess", f"add `{name}:`, {others}")
    if len(held) > 1:
        wanted = f"either {name} or a document"
        context.say((*place.keys, "document"), "both", wanted, "give each a requirement of its own", key=True)
    elif held and answers_itself(element):
        _both(context, place, held[0])


def _both(context: Context, place: Place, name: str) -> None:
    found = f"an assessor's interface beside `{name}`"
    context.say((*place.keys, "interface"), found, "one of the two", f"remove `interface:` or `{name}:`", key=True)


def _assessor(context: Context, place: Place) -> None:
    """Internal leaf: an interface. Assessor: an interface, whose kind is assessor. Internal and no leaf: none."""
    element, keys = place.element, place.keys
    holds_document = isinstance(element, Dimension | Requirement) and element.document is not None
    if element.assessor == "none":
        context.say(
            (*keys, "assessor"), "'none'", "the id of a party", 'leave it out, or write "None", for no assessor'
        )
    elif element.assessor is not None and element.assessor not in context.parties:
        others = [party.id for party in context.parties.values() if party.role == "assessor"]
        fix = "add it to `parties:` with the role assessor"
        context.unknown((*keys, "assessor"), element.assessor, others, "a party", fix)
    elif element.assessor is not None and context.parties[element.assessor].role in ("auditee", "publisher"):
        found = f"{element.assessor!r}, the {context.parties[element.assessor].role}"
        context.say(
            (*keys, "assessor"), found, "a party with the role assessor", "give the assessment to another party"
        )
    if element.interface is None:
        if isinstance(element, Measurement):
            wanted = "`interface` (how its value is retrieved)"
            context.say((*keys, "interface"), "nothing", wanted, "add `interface:` with its `kind:`")
        elif element.assessor is not None and not holds_document:
            wanted = "`interface` of kind assessor (how that party's result is retrieved)"
            context.say((*keys, "assessor"), "an assessor without an interface", wanted, "add `interface:`", key=True)
        return
    _interface(context, place)


def _interface(context: Context, place: Place) -> None:
    element, keys, interface = place.element, (*place.keys, "interface"), place.element.interface
    external = any(one.assessor for one in (element, *place.above))
    if isinstance(interface, AssessorInterface):
        if not external:
            fix = "add `assessor:` with the id of the party that answers"
            context.say((*keys, "kind"), "'assessor' at an element without an assessor", "an assessor", fix)
        if not isinstance(element, Measurement) and interface.returns == "value":
            wanted = "'result': only a measurement has a target to compare a value with"
            context.say((*keys, "returns"), "'value'", wanted, "write result, or move it to a measurement")
        if interface.returns == "result":
            _signed(context, place)
    elif not isinstance(element, Measurement) and element.assessor is None:
        found = f"an interface at a {place.level} without an assessor"
        context.say(keys, found, "interfaces at measurements", "move it to a measurement, or add `assessor:`", key=True)
    elif element.assessor is not None and interface is not None:
        wanted = "'assessor', with `returns:` value or result"
        context.say((*keys, "kind"), repr(interface.kind), wanted, "write kind: assessor, or remove the assessor")


def _signed(context: Context, place: Place) -> None:
    """Another party's result counts only when signed by it."""
    name = next((one.assessor for one in (place.element, *reversed(place.above)) if one.assessor), None)
    party = context.parties.get(name or "")
    if party is not None and not party.public_keys:
        found = f"{party.id!r}, a party without public keys"
        fix = "add `publicKeys:` to that party: results count only with its signature"
        keys = place.keys if place.element.assessor else ROOT
        context.say((*keys, "assessor"), found, "a party whose signature can be verified", fix)


def _aggregate(context: Context, place: Place, metric: Metric) -> None:
    keys = (*place.keys, "aggregate")
    number = len(metric.measurements)
    if isinstance(metric.aggregate, AtLeast) and metric.aggregate.at_least > number:
        found, wanted = str(metric.aggregate.at_least), f"at most {number}, the number of measurements"
        context.say((*keys, "atLeast"), found, wanted)
    if isinstance(metric.aggregate, Weighted):
        known = dict.fromkeys(measurement.id for measurement in metric.measurements)
        for name in metric.aggregate.weights:
            if name not in known:
                fix = "remove the weight"
                context.unknown((*keys, "weights", name), name, known, "a measurement of this metric", fix, key=True)
        for index, measurement in enumerate(metric.measurements):
            if measurement.critical and measurement.id not in metric.aggregate.weights:
                fix = f"add `{measurement.id}:` to the weights, or write critical: false at the measurement"
                at = (*place.keys, "measurements", index, "id")
                context.say(at, f"{measurement.id!r} without a weight", "a weight for it", fix)


def _frequency(context: Context, place: Place) -> None:
    if place.element.frequency is None:
        return
    try:
        parse_frequency(place.element.frequency)
    except ValueError as error:
        _, _, fix = str(error).partition("; ")
        wanted = "a duration, cron expression or on-event"
        if "ever comes true" in str(error):
            wanted = "a cron expression that comes true some day"
        context.say((*place.keys, "frequency"), repr(place.element.frequency), wanted, fix)


def _resolved(context: Context, place: Place) -> None:
    if place.frequency is None and context.frequency is None:
        wanted = "`frequency` here or above"
        context.say((*place.keys, "frequency"), "nothing", wanted, "add `frequency:`, for example P1D or on-event")
