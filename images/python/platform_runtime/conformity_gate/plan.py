"""What is to be done about a model, from what is known of it. Pure: a gate that starts anew comes to the same.

Down is at once, up is slow: traffic is taken from a version as soon as its status forbids it, and given back only
after a new assessment and a minimum time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from platform_runtime.conformity_gate.standing import Standing, Status

__all__ = ["Kind", "Mode", "Move", "Policy", "RolledBack", "Served", "Verdict", "World", "after", "plan", "verdict"]


class Mode(StrEnum):
    """What the gate does about its decisions."""

    REPORT = "report"
    """Says them: metrics, log, `/v1/decisions`."""
    WARN = "warn"
    """Also puts them where people look: tags of the version, an Event of the InferenceService."""
    ENFORCE = "enforce"
    """Also carries them out."""


class Kind(StrEnum):
    """Kinds of decisions."""

    PROMOTE = "promote"
    """Give alias `champion` to `target`."""
    WITHDRAW = "withdraw"
    """Take alias `champion` from `source`; no version may have it."""
    ROLLBACK = "rollback"
    """Serve `target` in place of `source`, whose status forbids it."""
    RESTORE = "restore"
    """Serve `target` again, which was rolled back and may be served now."""
    KEEP = "keep"
    """Go on serving `source` against its status: there is nothing better."""
    STOP = "stop"
    """Serve nothing: the status of `source` forbids it and there is nothing better."""
    RESUME = "resume"
    """Serve again after a stop."""


class Verdict(StrEnum):
    """What a status means for a version."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    PENDING = "pending"
    """Nobody has looked at all of it yet."""


@dataclass(frozen=True)
class Policy:
    """What the order form decides."""

    mode: Mode = Mode.REPORT
    allow_conditional: bool = True
    """A conditional status, which is what a waiver gives, is enough."""
    hold: dt.timedelta = dt.timedelta(minutes=2)
    """A version that was rolled back stays away for so long at least."""
    without: Literal["keep", "stop"] = "keep"
    """What becomes of the service when no version may be served."""


@dataclass(frozen=True)
class Served:
    """What the InferenceService is told to serve."""

    version: str
    stopped: str | None = None
    """The version for which the gate stopped the service; None while it runs."""


@dataclass(frozen=True)
class RolledBack:
    """The last time traffic was taken from a version."""

    at: dt.datetime
    to: str


@dataclass(frozen=True)
class World:
    """All that a decision depends on."""

    model: str
    now: dt.datetime
    versions: frozenset[str]
    """Those in the registry; a version that was deleted cannot be gone back to."""
    served: Served | None
    champion: str | None
    candidate: str | None
    standings: Mapping[str, Standing] = field(default_factory=dict)
    rolled_back: Mapping[str, RolledBack] = field(default_factory=dict)
    """By version; without those that came back."""


@dataclass(frozen=True)
class Move:
    """One decision."""

    kind: Kind
    source: str | None
    target: str | None
    standing: Standing | None
    """Of the version that is the reason."""


def verdict(version: str | None, world: World, policy: Policy) -> Verdict:
    """Say whether a version may be champion and be served."""
    known = world.standings.get(version or "")
    if known is None or known.status is Status.NONE:
        return Verdict.PENDING
    good = known.status is Status.CONFORMANT or (known.status is Status.CONDITIONAL and policy.allow_conditional)
    return Verdict.ALLOWED if good else Verdict.REFUSED


def plan(world: World, policy: Policy) -> list[Move]:
    """Return what to do, traffic first: who is champion follows from what is served."""
    moves = [move] if (move := _traffic(world, policy)) else []
    for each in moves:
        world = after(world, each)
    return [*moves, *([move] if (move := _champion(world, policy)) else [])]


def after(world: World, move: Move) -> World:
    """Return the world in which a move has been made."""
    match move.kind:
        case Kind.PROMOTE | Kind.WITHDRAW:
            return replace(world, champion=move.target)
        case Kind.ROLLBACK:
            assert move.source  # noqa: S101 (a rollback is from one version to another)
            assert move.target  # noqa: S101 (as above)
            return replace(
                world,
                served=Served(move.target),
                # The auditor follows the candidate, and has to look at what is served.
                candidate=move.target if world.candidate == move.source else world.candidate,
                rolled_back={
                    **_without(world.rolled_back, move.target),
                    move.source: RolledBack(world.now, move.target),
                },
            )
        case Kind.RESTORE:
            assert move.target  # noqa: S101 (something is restored)
            return replace(world, served=Served(move.target), rolled_back=_without(world.rolled_back, move.target))
        case Kind.STOP:
            assert move.source  # noqa: S101 (something is stopped)
            return replace(world, served=Served(move.source, stopped=move.source))
        case Kind.RESUME:
            assert world.served  # noqa: S101 (something is stopped)
            return replace(world, served=Served(world.served.version))
        case Kind.KEEP:
            return world


def _traffic(world: World, policy: Policy) -> Move | None:
    served = world.served
    if served is None:
        return None
    standing = world.standings.get(served.version)
    if verdict(served.version, world, policy) is Verdict.REFUSED:
        if (target := _best(world, policy)) is not None:
            return Move(Kind.ROLLBACK, served.version, target, standing)
        if policy.without == "keep" and not served.stopped:
            return Move(Kind.KEEP, served.version, None, standing)
        if policy.without == "stop":
            stopped = served.stopped == served.version
            return None if stopped else Move(Kind.STOP, served.version, None, standing)
    if served.stopped:
        # The status changed, the order form did, or somebody deployed another version behind a stopped service.
        return Move(Kind.RESUME, served.stopped, served.version, standing)
    return _restore(world, policy, served.version)


def _restore(world: World, policy: Policy, served: str) -> Move | None:
    """Bring back a version that was rolled back, when somebody made it the candidate again and it passed anew."""
    wanted = world.candidate
    left = world.rolled_back.get(wanted or "")
    if wanted is None or wanted == served or left is None or wanted not in world.versions:
        return None
    # Whatever else was deployed since then was meant to be there.
    if left.to != served or world.now - left.at < policy.hold:
        return None
    if verdict(wanted, world, policy) is not Verdict.ALLOWED:
        return None
    return Move(Kind.RESTORE, served, wanted, world.standings[wanted])


def _champion(world: World, policy: Policy) -> Move | None:
    holder, champion = (world.served.version if world.served else world.candidate), world.champion
    if verdict(holder, world, policy) is Verdict.ALLOWED:
        wanted = holder
    elif verdict(champion, world, policy) is Verdict.REFUSED:
        wanted = _best(world, policy)
    else:
        return None
    if wanted == champion:
        return None
    if wanted is None:
        return Move(Kind.WITHDRAW, champion, None, world.standings.get(champion or ""))
    return Move(Kind.PROMOTE, champion, wanted, world.standings.get(wanted))


def _best(world: World, policy: Policy) -> str | None:
    """Return the version that passed last: a conformant one, else one that is allowed with conditions."""
    passed = [
        standing
        for version, standing in world.standings.items()
        if version in world.versions and verdict(version, world, policy) is Verdict.ALLOWED
    ]
    best = max(
        passed, key=lambda each: (each.status is Status.CONFORMANT, each.since, _number(each.version)), default=None
    )
    return best.version if best else None


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def _without(rolled_back: Mapping[str, RolledBack], version: str) -> dict[str, RolledBack]:
    return {key: value for key, value in rolled_back.items() if key != version}
