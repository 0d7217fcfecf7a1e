"""The names that are shown of users, as far as they are known: messages tell ids alone. Pure.

Code that shows users calls `want`; a task asks the server for the names that are `wanted` and gives them to `learn`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from gochat.client.wire import Fact
from gochat.domain import facts

#: Names that are kept, the latest.
MAX_NAMES: Final = 5_000
#: Names that are asked for again by a client that is connected anew, as all may be at once.
_MAX_AGAIN: Final = 100
#: A name that could be taken for one with an id.
_QUALIFIED: Final = re.compile(r"[()\uff08\uff09]")


def users_in(told: Iterable[Fact]) -> list[str]:
    """The users whom these facts tell of, each once."""
    users: dict[str, None] = {}
    for fact in told:
        users[fact.sender] = None
        others = fact.users if isinstance(fact, facts.Member) else getattr(fact, "mentions", None)
        users |= dict.fromkeys(others or ())
    return list(users)


class ShownNames:
    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: Counter[str] = Counter()
        """How many of the users each name stands for, in lower case: as their name or as their id."""
        self._asked: dict[str, None] = {}
        self._wanted: dict[str, None] = {}
        self.changes = 0
        """Grows whenever a name may be shown otherwise than before."""

    def of(self, user: str) -> str:
        """The user's name; the id where no name is known. Where the user could pass for another one by that name,
        the id stands with it."""
        name = self._names.get(user, user)
        if name != user and (self._taken[name.casefold()] > 1 or _QUALIFIED.search(name)):
            return f"{name} ({user})"
        return name

    def beginning(self, word: str) -> list[str]:
        """Ids of the users whose names have a word that begins so, in the order in which they were learnt."""
        word = word.casefold()
        return [
            user for user, name in self._names.items() if any(part.startswith(word) for part in name.casefold().split())
        ]

    def want(self, users: Iterable[str]) -> None:
        """Names of users are to be shown. Users who were asked for are left out, whether they have a name or not."""
        self._wanted |= dict.fromkeys(user for user in users if user not in self._asked)

    def wanted(self, limit: int) -> list[str]:
        """Take some of the users who are to be asked for."""
        users = list(self._wanted)[:limit]
        for user in users:
            del self._wanted[user]
        self._asked |= dict.fromkeys(users)
        # Names of earlier ones are forgotten too: they are asked for again when they are to be shown.
        for oldest in list(self._asked)[: max(0, len(self._asked) - MAX_NAMES)]:
            del self._asked[oldest]
        return users

    def learn(self, names: Mapping[str, str]) -> None:
        """These are the names now."""
        self.changes += any(self._names.get(user) != name for user, name in names.items())
        for user, name in names.items():
            self._forget(user)
            self._names[user] = name
            self._taken.update({user, name.casefold()})
        for oldest in list(self._names)[: max(0, len(self._names) - MAX_NAMES)]:
            self._forget(oldest)

    def ask_again(self) -> None:
        """The client is connected anew: names may have changed meanwhile, and questions may have been lost. The latest
        are asked for again, others when somebody tells of them."""
        latest = list(self._asked)[-_MAX_AGAIN:]
        self._asked.clear()
        self.want(latest)

    def _forget(self, user: str) -> None:
        name = self._names.pop(user, None)
        if name is not None:
            self._taken.subtract({user, name.casefold()})
