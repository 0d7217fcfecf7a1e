"""The traces of a chat, judged from outside: the messages sent, acked and heard, and the history.

Pure: it knows no server and no socket. `violations` names each broken promise in words.

In a cluster a node may be given up that alone had recorded something. Then clients start anew, and whatever this node,
and no other, had told them may be lost (`Evidence.gone`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gochat.sim.evidence import Asked, Evidence, Fact, Look, Name

__all__ = ["Asked", "Evidence", "Fact", "Look", "Name", "has_heard_all", "lost", "violations"]


Judge = Callable[[Evidence], Iterator[str]]


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise; none: all is well."""
    return [*evidence.complaints, *(found for judge in _JUDGES for found in judge(evidence))]


def lost(evidence: Evidence) -> set[Name]:
    """Messages that were acked and are not in their room's history."""
    missing = {name for name, _ in evidence.acks} - set(_recorded(evidence))
    if missing and evidence.gone:
        sends = _sends(evidence)
        missing = {name for name in missing if name not in sends or not evidence.is_void(sends[name])}
    return missing


def _recorded(evidence: Evidence) -> dict[Name, list[Fact]]:
    places: dict[Name, list[Fact]] = {}
    for room, facts in evidence.history.items():
        for fact in facts:
            if fact.message and fact.key is not None:
                places.setdefault(Name(room, fact.sender, fact.key), []).append(fact)
    return places


# ---------------------------------------------------------------------------------------------- messages


def _dense(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for expected, fact in enumerate(facts, start=1):
            if fact.seq != expected:
                yield f"{room}: seq {fact.seq} stands where {expected} should"
                break


def _nothing_from_nowhere(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        for fact in facts:
            if not fact.message or (
                fact.key is None and evidence.sent_once.get(fact.body or "") == (room, fact.sender)
            ):
                continue
            if fact.key is None and fact.shown_late:
                continue  # Its words tell no more which one it was.
            body = None if fact.key is None else evidence.sent.get(Name(room, fact.sender, fact.key))
            if body is None:
                yield f"{room}:{fact.seq}: nobody sent it: {fact}"
            elif body != fact.body and not fact.shown_late:
                yield f"{room}:{fact.seq}: sent as {body!r}, recorded as {fact.body!r}"


def _acks_hold(evidence: Evidence) -> Iterator[str]:
    places, sends = _recorded(evidence), _sends(evidence) if evidence.gone else {}
    for name in sorted(lost(evidence)):
        yield f"{name}: acked and lost"
    for name, seq in evidence.acks:
        found = places.get(name)
        if name in sends and evidence.is_void(sends[name]):
            continue
        if found and all(fact.seq != seq for fact in found):
            yield f"{name}: acked at {seq}, recorded at {found[0].seq}"


def _once(evidence: Evidence) -> Iterator[str]:
    places = _recorded(evidence)
    for name, facts in places.items():
        if len(facts) > 1:
            yield f"{name}: recorded {len(facts)} times, at {[fact.seq for fact in facts]}"
    acked = {name for name, _ in evidence.acks}
    for name in evidence.sent:
        if name not in acked and name not in evidence.given_up:
            yield f"{name}: repeated until the end, and never acked"


def _without_a_key_once(evidence: Evidence) -> Iterator[str]:
    places: dict[str, list[int]] = {}
    for facts in evidence.history.values():
        for fact in facts:
            if fact.message and fact.key is None and fact.body is not None and not fact.shown_late:
                places.setdefault(fact.body, []).append(fact.seq)
    for body, seqs in places.items():
        if len(seqs) > 1:
            yield f"{body!r} was sent once and is recorded at {seqs}"
    for asked in evidence.asked:
        if asked.kind == "send" and "key" not in asked.frame and asked.reply is not None and asked.succeeded:
            facts = evidence.history.get(asked.frame["to"], [])
            found = facts[asked.reply["seq"] - 1] if asked.reply["seq"] <= len(facts) else None
            if evidence.is_void(asked) or (
                found is not None and (found.shown_late or found.body == asked.frame["body"])
            ):
                continue
            yield f"{asked.frame['body']!r} was acked at {asked.reply['seq']}, where {found} stands"


def _refused_are_absent(evidence: Evidence) -> Iterator[str]:
    places = _recorded(evidence)
    for name, asked in _sends(evidence).items():
        if asked.refused and name in places:
            yield f"{name}: refused with {asked.reply}, and recorded at {places[name][0].seq}"


def _in_real_time(evidence: Evidence) -> Iterator[str]:
    """A message that was acked stands before every message that was sent later."""
    sends, never = _sends(evidence), float("inf")
    for room, facts in evidence.history.items():
        latest, later = 0.0, ""
        for fact in facts:
            asked = sends.get(Name(room, fact.sender, fact.key or ""))
            if asked is None:
                continue
            acked_at = asked.answered_at if asked.succeeded and not evidence.is_void(asked) else never
            if acked_at < latest:
                yield f"{room}:{fact.seq} was acked before {later} was sent, which stands before it"
                break
            if asked.at > latest:
                latest, later = asked.at, f"{room}:{fact.seq}"


def _sends(evidence: Evidence) -> dict[Name, Asked]:
    return {
        Name(asked.frame["to"], asked.user, asked.frame["key"]): asked
        for asked in evidence.asked
        if asked.kind == "send" and "key" in asked.frame
    }


def _changes_hold(evidence: Evidence) -> Iterator[str]:
    """An edit, a deletion, a reaction that was acked stands at its seq, and the message is as the last of them says."""
    for asked in evidence.asked:
        if asked.kind not in ("edit", "delete", "react") or not asked.succeeded or asked.reply is None:
            continue
        if evidence.is_void(asked):
            continue
        room, seq, target = asked.frame["room"], asked.reply["seq"], asked.frame["seq"]
        facts = evidence.history.get(room, [])
        kind = "reaction" if asked.kind == "react" else asked.kind
        found = facts[seq - 1] if 0 < seq <= len(facts) else None
        if asked.kind == "react" and not asked.frame["on"] and seq == target:
            continue  # There was nothing to take off.
        if found is None or (found.kind, found.target) != (kind, target):
            yield f"{room}: {asked.frame} of {asked.user} was acked at {seq}, where {found} stands"
        elif asked.kind == "delete" and target <= len(facts) and facts[target - 1].body is not None:
            yield f"{room}:{target} was deleted and is shown: {facts[target - 1]}"
    for (room, target), (seq, body) in _last_edits(evidence).items():
        facts = evidence.history.get(room, [])
        shown = facts[target - 1].body if target <= len(facts) else None
        unknown = any(fact.kind == "edit" and fact.target == target and fact.seq > seq for fact in facts)
        if shown is not None and shown != body and not unknown:
            yield f"{room}:{target} was edited at {seq} to {body!r} and shows {shown!r}"


def _last_edits(evidence: Evidence) -> dict[tuple[str, int], tuple[int, str]]:
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for asked in evidence.asked:
        if asked.kind == "edit" and asked.succeeded and asked.reply is not None and not evidence.is_void(asked):
            place = asked.frame["room"], asked.frame["seq"]
            last[place] = max(last.get(place, (0, "")), (asked.reply["seq"], asked.frame["body"]))
    return last


def _time_does_not_fall(evidence: Evidence) -> Iterator[str]:
    for room, facts in evidence.history.items():
        latest = 0
        for fact in facts:
            if fact.ts < latest:
                yield f"{room}:{fact.seq} is of {fact.ts}, after one of {latest}"
                break
            latest = fact.ts


# ---------------------------------------------------------------------------------------------- readers


def _heard_alike(evidence: Evidence) -> Iterator[str]:
    for reader, rooms in evidence.heard.items():
        user = evidence.users.get(reader, "")
        for room, facts in rooms.items():
            begin = evidence.begins.get((reader, room), 0)
            yield from _heard_alike_in(reader, user, room, facts, evidence.history.get(room, []), begin)


def _heard_alike_in(
    reader: str, user: str, room: str, facts: list[Fact], history: list[Fact], begin: int
) -> Iterator[str]:
    before = begin
    for fact in facts:
        if fact.seq > len(history):
            yield f"{reader} heard {room}:{fact.seq}, which is beyond the history's end"
            return
        skipped = fact.seq != before + 1
        if skipped and not (fact.seq > before and fact.names(user, "added")):
            yield f"{reader} heard {fact} in {room} after seq {before}"
            return
        if not _alike(fact, history[fact.seq - 1]):
            yield f"{reader} heard {fact} in {room} where the history has {history[fact.seq - 1]}"
            return
        before = fact.seq
    end = _end(room, history, user)
    if before < end:
        yield f"{reader} heard {room} up to {before}, and it goes on to {end}"


def has_heard_all(evidence: Evidence, reader: str) -> bool:
    """Whether the reader has heard its rooms up to where the history ends for it."""
    user = evidence.users.get(reader, "")
    return all(
        (facts[-1].seq if facts else evidence.begins.get((reader, room), 0))
        >= _end(room, evidence.history.get(room, []), user)
        for room, facts in evidence.heard[reader].items()
    )


def _heard_before_a_reset(evidence: Evidence) -> Iterator[str]:
    """Facts that a reader heard before it had to start anew hold, but for those that only a node had that is gone."""
    for reader, room, connection, fact in evidence.before_resets:
        history = evidence.history.get(room, [])
        if evidence.served.get((reader, connection)) in evidence.gone:
            continue
        if fact.seq > len(history) or not _alike(fact, history[fact.seq - 1]):
            found = history[fact.seq - 1] if fact.seq <= len(history) else None
            yield f"{reader} heard {fact} in {room} before a reset, where the history has {found}"


def _resets_are_due(evidence: Evidence) -> Iterator[str]:
    """A client has to start a room anew only where the log has another epoch, which only a node brings that is put
    out."""
    for reader, room, known, epoch in evidence.resets:
        if not (evidence.gone or evidence.left) or known == epoch:
            yield f"{reader} was told to start {room} anew, of epoch {epoch}, where it knew {known}"


def _end(room: str, history: list[Fact], user: str) -> int:
    """The last seq of a room that the user is told."""
    return _last_told(history, user) if user and room.startswith("group:") else len(history)


def _alike(heard: Fact, recorded: Fact) -> bool:
    """Bodies of edits, and of messages that were changed, are shown as they are when they are shown."""
    if heard.kind == "edit" or heard.shown_late or recorded.shown_late:
        return heard._replace(body=None, shown_late=False) == recorded._replace(body=None, shown_late=False)
    return heard == recorded


def _last_told(history: list[Fact], user: str) -> int:
    end, member = 0, False
    for fact in history:
        if fact.names(user, "added"):
            member = True
        elif member and fact.names(user, "removed", "left"):
            member, end = False, fact.seq
        if member:
            end = fact.seq
    return end


def _removed_hear_nothing(evidence: Evidence) -> Iterator[str]:
    """After the fact that removed them, users hear nothing of a group until they are in it again; then what was said
    meanwhile may be replayed."""
    for reader, rooms in evidence.hearings.items():
        user = evidence.users[reader]
        for room, hearings in rooms.items():
            history = evidence.history.get(room, [])
            removed, on = None, 0
            for fact, (connection, at) in zip(evidence.heard[reader][room], hearings, strict=True):
                if removed is not None and connection == on and not fact.names(user, "added"):
                    back = next((each.seq for each in history[fact.seq :] if each.names(user, "added")), None)
                    if back is None or at < _asked_at(evidence, room, back):
                        yield f"{reader} was removed at {room}:{removed.seq} and heard {fact}"
                        break
                removed, on = (fact if fact.names(user, "removed", "left") else None), connection


def _asked_at(evidence: Evidence, room: str, seq: int) -> float:
    """When the change of a group was asked for that stands at that seq; 0 where nobody knows."""
    for asked in evidence.asked:
        reply = asked.reply
        if asked.kind == "group" and reply is not None and (reply.get("room"), reply.get("seq")) == (room, seq):
            return asked.at
    return 0.0


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
    for name, asked in _sends(evidence).items():
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


#: Codes of refusals that members do not meet.
_OUTSIDERS: Final = frozenset({"forbidden", "not_found", "not_member"})


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
    sends, seen = _sends(evidence), _first_seen(evidence)
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
    seen = _first_seen(evidence)
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


def _first_seen(evidence: Evidence) -> dict[tuple[str, int], float]:
    """When each fact was first acked or heard."""
    seen: dict[tuple[str, int], float] = {}

    def note(room: str, seq: int, at: float) -> None:
        seen[room, seq] = min(at, seen.get((room, seq), at))

    for reader, rooms in evidence.hearings.items():
        for room, hearings in rooms.items():
            for fact, (connection, at) in zip(evidence.heard[reader][room], hearings, strict=True):
                if evidence.served.get((reader, connection)) not in evidence.gone:
                    note(room, fact.seq, at)
    for asked in evidence.asked:
        if asked.reply is not None and asked.reply["type"] == "ack" and not evidence.is_void(asked):
            note(asked.reply["room"], asked.reply["seq"], asked.answered_at)
    return seen


def _reads_never_go_back(evidence: Evidence) -> Iterator[str]:
    """A reading shows everything that the reader was shown before it and, where it `follows`, everything that anybody
    was."""
    seen: dict[str, list[tuple[float, int, str]]] = {}
    for (room, seq), at in _first_seen(evidence).items():
        seen.setdefault(room, []).append((at, seq, ""))
    looks = [
        look for look in evidence.looks if evidence.served.get((look.client, look.connection)) not in evidence.gone
    ]
    for look in looks:
        seen.setdefault(look.room, []).append((look.at, look.head, look.client))
    for look in looks:
        history = evidence.history.get(look.room, [])
        if look.head > len(history):
            yield f"{look.client} was shown a head of {look.head} in {look.room}, which ends at {len(history)}"
            continue
        if look.head and history[look.head - 1].names(look.user, "removed", "left"):
            continue  # The room ended there for this reader.
        known = [
            seq for at, seq, client in seen[look.room] if at < look.asked_at and (client == look.client or look.follows)
        ]
        if look.head < max(known, default=0) and not _outside(history, look.user, look.head):
            yield f"{look.client} was shown a head of {look.head} in {look.room} when {max(known)} was known"


def _outside(history: list[Fact], user: str, head: int) -> bool:
    """Whether the user was not in the group at that seq."""
    member = not any(fact.change for fact in history)
    for fact in history[:head]:
        if fact.names(user, "added"):
            member = True
        elif fact.names(user, "removed", "left"):
            member = False
    return not member


_JUDGES: Final[tuple[Judge, ...]] = (
    _dense,
    _nothing_from_nowhere,
    _acks_hold,
    _once,
    _without_a_key_once,
    _refused_are_absent,
    _in_real_time,
    _changes_hold,
    _heard_alike,
    _removed_hear_nothing,
    _heard_before_a_reset,
    _resets_are_due,
    _only_members_write,
    _members_are_let_in,
    _deleted_are_left_alone,
    _only_authors_edit,
    _mutes_hold,
    _blocks_hold,
    _time_does_not_fall,
    _reads_never_go_back,
)
