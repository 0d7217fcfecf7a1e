"""Rights: nobody wrote, changed or was refused against the rules of the room as they stood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gochat.sim.evidence import Asked, Evidence, Name
from gochat.sim.judges import Judge
from gochat.sim.judges.lookups import first_seen, sends_of

#: Codes of refusals that members do not meet.
_OUTSIDERS: Final = frozenset({"forbidden", "not_found", "not_member"})


def _only_members_write(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        if not facts or facts[0].change != "added":
            continue  # A private room, or a group whose members are not known.
        members: set[str] = set()
        for fact in facts:
            if fact.kind in ("message", "edit", "reaction") and fact.sender not in members:
                yield f"{room}:{fact.seq}: {fact.sender} is no member: {fact}"
            if fact.change == "added":
                members.update(fact.users)
            elif fact.change in ("removed", "left"):
                members.difference_update(fact.users)


def _deleted_are_left_alone(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        deleted: set[int] = set()
        for fact in facts:
            if fact.target in deleted and fact.kind in ("edit", "reaction", "delete"):
                yield f"{room}:{fact.seq} is about {fact.target}, which had been deleted: {fact}"
            if fact.kind == "delete":
                deleted.add(fact.target)


def _members_are_let_in(evidence: Evidence) -> Iterator[str]:
    """A user who was made a member, as somebody had been told before the user wrote, is not refused for being none."""
    changes = [asked for asked in evidence.asked if asked.kind == "group"]
    for name, asked in sends_of(evidence).items():
        if evidence.gone or asked.reply is None or asked.reply.get("code") not in _OUTSIDERS:
            continue
        history, user = evidence.history.get(name.room, []), asked.user
        mine = [each for each in changes if f"group:{each.frame['name']}" == name.room and _is_about(each, user)]
        begins = [0.0] if history and history[0].names(user, "added") else []
        begins += [
            each.at
            for each in mine
            if each.frame.get("action") == "add" and each.succeeded and _was_known(each, asked.at)
        ]
        if _may_be_muted(mine, asked):
            continue  # It holds through all comings and goings.
        ends = [each for each in mine if each.frame.get("action") in ("remove", "leave")]
        for begin in begins:
            if all(_was_known(end, begin) or end.at >= asked.answered_at for end in ends):
                yield f"{name} was refused with {asked.reply}, though {user} was a member"
                break


def _may_be_muted(changes: Sequence[Asked], asked: Asked) -> bool:
    """Whether a mute may have held while the request was carried out: one whose end was not known before."""
    ends = [each for each in changes if each.frame.get("action") == "unmute" and each.succeeded]
    return any(
        mute.frame.get("action") == "mute"
        and mute.at < asked.answered_at
        and not any(end.at > mute.answered_at > 0 and _was_known(end, asked.at) for end in ends)
        for mute in changes
    )


def _is_about(change: Asked, user: str) -> bool:
    """Whether a request about a group is about the user."""
    return user in (*change.frame.get("users", ()), change.frame.get("user", change.user))


def _was_known(asked: Asked, at: float) -> bool:
    """Whether it was answered by then."""
    return asked.reply is not None and asked.answered_at < at and (asked.succeeded or asked.refused)


def _only_authors_edit(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for fact in facts:
            if fact.kind == "edit" and facts[fact.target - 1].sender != fact.sender:
                yield f"{room}:{fact.seq}: {fact.sender} edited what is not theirs: {facts[fact.target - 1]}"


def _mutes_hold(evidence: Evidence) -> Iterator[str]:
    """Nothing that a user sends after their mute was answered is recorded, until somebody asks for its end."""
    changes = [asked for asked in evidence.asked if asked.frame.get("action") in ("mute", "unmute")]
    sends, seen = sends_of(evidence), first_seen(evidence)
    for mute in changes:
        if mute.frame["action"] != "mute" or not mute.succeeded or evidence.is_void(mute):
            continue
        room, user = f"group:{mute.frame['name']}", mute.frame["user"]
        ends = [
            other.at
            for other in changes
            if (other.frame["action"], other.frame["name"], other.frame["user"]) == ("unmute", mute.frame["name"], user)
            # As with blocks.
            and (other.answered_at > mute.at or other.reply is None)
        ]
        until = min(ends, default=float("inf"))
        for fact in evidence.history.get(room, []):
            asked = sends.get(Name(room, user, fact.key or "")) if fact.message and fact.sender == user else None
            seen_at = seen.get((room, fact.seq), float("inf") if ends else 0.0)
            if asked is not None and mute.answered_at < asked.at and seen_at < until:
                yield f"{room}:{fact.seq} was sent and recorded after {user} was muted: {fact}"


def _blocks_hold(evidence: Evidence) -> Iterator[str]:
    """After a block's answer nothing of either is recorded above its head, until somebody asks for its end."""
    seen = first_seen(evidence)
    contacts = [asked for asked in evidence.asked if asked.kind == "contact"]
    for block in contacts:
        if block.frame["action"] != "block" or not block.succeeded or block.reply is None or evidence.is_void(block):
            continue
        room, head = block.reply["room"], block.reply["head"]
        ends = [
            other.at
            for other in contacts
            if (other.user, other.frame["user"], other.frame["action"]) == (block.user, block.frame["user"], "unblock")
            # One that was asked for earlier, and not answered, may be carried out later.
            and (other.answered_at > block.at or other.reply is None)
        ]
        until = min(ends, default=float("inf"))
        for fact in evidence.history.get(room, [])[head:]:
            seen_at = seen.get((room, fact.seq), float("inf") if ends else 0.0)
            if seen_at < until and fact.kind in ("message", "edit", "reaction"):
                yield f"{room}:{fact.seq} stands above {head}, where {block.user} blocked: {fact}"
                break


JUDGES: Final[tuple[Judge, ...]] = (
    _only_members_write,
    _members_are_let_in,
    _deleted_are_left_alone,
    _only_authors_edit,
    _mutes_hold,
    _blocks_hold,
)
