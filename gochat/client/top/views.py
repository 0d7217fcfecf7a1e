"""The views of `gochat top` as rows of text with styles. Pure; a row is as long as it likes, and the screen fits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gochat.client.screen.width import Row, columns_of, padded, wrap
from gochat.client.terminal import text
from gochat.client.top import figures
from gochat.client.top.reading import BRIEF, Look
from gochat.domain import durations
from gochat.domain.plurals import counted
from gochat.log import inert
from gochat.protocol import replies
from gochat.protocol.entries import Child, MailboxEntry, SessionEntry

#: The views by the key that shows each, in the order in which they are listed.
VIEWS: Final = ("node", "reports", "users", "rooms", "sessions", "suspended", "audit", "mailboxes", "supervisors")
#: Views whose lists can be narrowed to ids that begin so.
NARROWED: Final = ("users", "rooms")
#: The width of one of the figures of the node, with its label.
_FIGURE: Final = 26
_LABEL: Final = 12
#: A cell is cut to so many columns, and no further.
_LEAST_CELL: Final = 8
_INDENT: Final = 4


class Shown(NamedTuple):
    """Two looks at a node, and the width to show them in."""

    now: Look
    before: replies.Overview | None
    columns: int


def rows(view: str, shown: Shown) -> list[Row]:
    """The rows of a view."""
    return _VIEWS[view](shown)


# ---------------------------------------------------------------------------------------------- tables


def _heading(title: str) -> Row:
    return [("new", title)]


def _table(head: Sequence[str], cells: Sequence[Sequence[str]], columns: int, empty: str) -> list[Row]:
    """Columns as wide as their widest cell. Where that is too much for the screen, the widest ones are cut."""
    if not cells:
        return [[("time", empty)]]
    widths = [max(columns_of(row[index]) for row in (head, *cells)) for index in range(len(head))]
    while (excess := sum(widths) + 2 * (len(widths) - 1) - columns) > 0 and max(widths) > _LEAST_CELL:
        widest = widths.index(max(widths))
        widths[widest] = max(_LEAST_CELL, min(widths[widest] - 1, max(widths[widest] - excess, _second(widths))))
    found: list[Row] = [[("time", _joined(head, widths))]]
    found += [[(None, _joined(row, widths))] for row in cells]
    return found


def _second(widths: Sequence[int]) -> int:
    """The width of the second widest."""
    return sorted(widths)[-2] if len(widths) > 1 else 0


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (padded(cell, width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([first, *others]).rstrip()


def _lines(entries: Sequence[str], columns: int, empty: str) -> list[Row]:
    """Entries that are read whole: a long one goes on in the next row."""
    found = [row for entry in entries for row in wrap([(None, entry)], columns, _INDENT)]
    return found or [[("time", empty)]]


# ---------------------------------------------------------------------------------------------- the node


def _node(shown: Shown) -> list[Row]:
    now, before = shown.now.overview, shown.before
    told: list[Row] = [[("error", f"{check.check}: {inert(check.problem)}")] for check in now.checks if check.problem]
    told += _figures(shown)
    told += [[], _heading("Refusals by rule"), *_counted("gochat_refusals_total", now, before, shown.columns)]
    told += [[], _heading("Slow sessions"), *_slow(shown.now.slow, shown.columns)]
    told += [[], _heading("Mailboxes"), *_mailbox_table(shown.now.mailboxes[:BRIEF], shown.columns)]
    return told


def _figures(shown: Shown) -> list[Row]:
    """The numbers of the node, as many beside each other as the width allows."""
    found = [f"{label:<{_LABEL}} {said}" for label, said in _said(shown.now.overview, shown.before)]
    beside = max(1, shown.columns // _FIGURE)
    return [
        [(None, "".join(padded(each, _FIGURE) for each in found[first : first + beside]).rstrip())]
        for first in range(0, len(found), beside)
    ]


def _said(now: replies.Overview, before: replies.Overview | None) -> list[tuple[str, str]]:
    def all_of(name: str) -> str:
        return figures.count(figures.value(now, name))

    def each(name: str) -> str:
        return f"{figures.rate(figures.per_second(before, now, name))}/s"

    cpu = figures.per_second(before, now, "process_cpu_seconds_total")
    took = figures.commit_ms(before, now)
    return [
        ("Users", all_of("gochat_users_online")),
        ("Messages", each("gochat_messages_recorded_total")),
        ("Processor", "-" if cpu is None else f"{cpu * 100:.0f} %"),
        ("Sessions", all_of("gochat_sessions")),
        ("Deliveries", each("gochat_deliveries_total")),
        ("Memory", figures.size(figures.value(now, "process_resident_memory_bytes"))),
        ("Connections", all_of("gochat_connections")),
        ("Refusals", each("gochat_denials_total")),
        ("Database", figures.size(figures.value(now, "gochat_store_bytes"))),
        ("Strangers", all_of("gochat_connections_unauthenticated")),
        ("Commits", each("gochat_commit_seconds_count")),
        ("Disk free", figures.size(figures.value(now, "gochat_store_free_bytes"))),
        ("Slowed down", all_of("gochat_users_slowed")),
        ("A commit", "-" if took is None else f"{took:.1f} ms"),
        ("Crashes", all_of("gochat_crashes_total")),
    ]


def _counted(name: str, now: replies.Overview, before: replies.Overview | None, columns: int) -> list[Row]:
    """A counter by its label, the largest first."""
    samples = sorted(now.metrics.get(name, {}).items(), key=lambda each: -each[1])
    cells = [
        (inert(label), figures.count(number), f"{figures.rate(figures.per_second(before, now, name, label))}/s")
        for label, number in samples[:BRIEF]
    ]
    return _table(("rule", "number", "rate"), cells, columns, "none yet")


def _slow(sessions: Sequence[SessionEntry], columns: int) -> list[Row]:
    cells = [
        (
            inert(each.user),
            inert(each.device or "-"),
            each.transport,
            inert(each.address),
            figures.size(each.waiting),
            durations.shown(each.stalled_ms / 1000),
        )
        for each in sessions
    ]
    return _table(("user", "device", "by", "from", "waits", "took nothing for"), cells, columns, "none")


# ---------------------------------------------------------------------------------------------- the other views


def _reports(shown: Shown) -> list[Row]:
    return _lines([text.report_line(each, "") for each in shown.now.entries], shown.columns, "no report is open")


def _users(shown: Shown) -> list[Row]:
    return _lines([text.account_line(each) for each in shown.now.entries], shown.columns, "no user has such an id")


def _rooms(shown: Shown) -> list[Row]:
    cells = [
        (
            inert(each.room),
            figures.count(each.messages),
            "-" if each.last_message is None else text.clock(each.last_message),
            inert(each.title),
        )
        for each in shown.now.entries
    ]
    return _table(("room", "messages", "latest", "title"), cells, shown.columns, "no group has such an id")


def _sessions(shown: Shown) -> list[Row]:
    cells = [
        (
            inert(each.user),
            inert(each.device or "-"),
            each.transport,
            inert(each.address),
            text.clock(each.since),
            figures.size(each.waiting),
        )
        for each in shown.now.entries
    ]
    return _table(("user", "device", "by", "from", "since", "waits"), cells, shown.columns, "none")


def _suspended(shown: Shown) -> list[Row]:
    return _lines([text.suspension_line(each) for each in shown.now.entries], shown.columns, "nobody is suspended")


def _audit(shown: Shown) -> list[Row]:
    return _lines([text.audit_line(each) for each in shown.now.entries], shown.columns, "nothing was recorded yet")


def _mailboxes(shown: Shown) -> list[Row]:
    return _mailbox_table(shown.now.mailboxes, shown.columns)


def _mailbox_table(mailboxes: Sequence[MailboxEntry], columns: int) -> list[Row]:
    cells = [
        (
            inert(each.id or "a private room"),
            f"{each.waiting:,}/{each.capacity:,}",
            durations.shown(each.age_ms / 1000),
            durations.shown(each.turn_ms / 1000),
            f"{each.refused:,}",
            each.phase,
        )
        for each in mailboxes
    ]
    head = ("mailbox of", "waiting", "age, at least", "at most", "refused", "phase")
    return _table(head, cells, columns, "no mailbox holds anything")


def _supervisors(shown: Shown) -> list[Row]:
    told: list[Row] = []
    for each in shown.now.overview.supervisors:
        lost = f", {counted(each.given_up, 'task')} given up" if each.given_up else ""
        crashed = f"  {counted(each.crashes, 'crash', 'crashes')}{lost}"
        told.append([("new", each.name), ("error" if each.crashes else "time", crashed)])
        told += [_child(child, last=child is each.children[-1] and not each.more) for child in each.children]
        if each.more:
            told.append([("time", f"└─ and {each.more:,} more")])
        told += [
            [("error", f"   {text.clock(crash.ts)} {inert(crash.name)} crashed: {inert(crash.error)}")]
            for crash in each.latest
        ]
        told.append([])
    return told


def _child(child: Child, *, last: bool) -> Row:
    branch = "└─ " if last else "├─ "
    state = f"  {counted(child.restarts, 'restart')}" if child.restarts else ""
    paused = "  starts again soon" if child.pausing else ""
    since = f"  since {text.clock(child.since)}"
    return [("divider", branch), (None, inert(child.name)), ("error", state + paused), ("time", since)]


_VIEWS: Final[dict[str, Callable[[Shown], list[Row]]]] = {
    "node": _node,
    "reports": _reports,
    "users": _users,
    "rooms": _rooms,
    "sessions": _sessions,
    "suspended": _suspended,
    "audit": _audit,
    "mailboxes": _mailboxes,
    "supervisors": _supervisors,
}
