"""The people of the demo and all that they have said, as tables.

A moment is "4d 18:02", so many days before today by this machine's clock, or "40m", so many minutes before now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

#: The bot, which is signed in for as long as the demo runs.
BOT: Final = "bot"
#: The users that the demo prints links for.
PEOPLE: Final = ("ann", "bob", "cat")
#: The user that the printed link to the operators' page is for, who says nothing.
OPERATOR: Final = "root"
#: A stranger, whose request waits for Ann's answer.
STRANGER: Final = "dan"
NAMES: Final = {"ann": "Ann", "bob": "Bob", "cat": "Cat", BOT: "Bot", STRANGER: "Dan"}
#: Users who have each other as contacts, so that they write without asking.
CONTACTS: Final = (("ann", "bob"), ("ann", "cat"), ("bob", "cat"), ("ann", BOT), ("bob", BOT), ("cat", BOT))

GROUP: Final = "lake"
GROUP_TITLE: Final = "Lake weekend"
#: The owner comes first.
MEMBERS: Final = ("ann", "bob", "cat", BOT)


class Said(NamedTuple):
    """A message, and what came of it."""

    at: str
    user: str
    body: str
    reactions: Mapping[str, str] = {}
    """The emoji that each user put to it, some minutes later."""
    answers: int = 0
    """How many messages above it stands the one that it replies to; 0: it is no reply."""


#: The group's messages.
IN_GROUP: Final[Sequence[Said]] = (
    Said("4d 18:02", "ann", "A new group for the lake. Who is in, the weekend after next?"),
    Said("4d 18:05", "bob", "Me! I can drive. There is room for three people and a lot of luggage."),
    Said("4d 18:06", "cat", "In! I bring the big tent.", {"ann": "🎉", "bob": "🎉"}),
    Said("4d 18:20", "ann", "Then I look after the food. Any wishes?"),
    Said("4d 18:22", "bob", "Pancakes"),
    Said("4d 18:22", "cat", "Pancakes, every day 🥞", answers=2),
    Said("4d 18:23", "ann", "So it is pancakes, four times.", {"cat": "❤️"}),
    Said("3d 08:40", "cat", "They say sun until Saturday, and showers on Sunday."),
    Said("3d 08:55", "bob", "@ann do we need the stove, or is there one in the hut?"),
    Said("3d 12:10", "ann", "There is one, but bring yours. Last year it took an hour to boil water.", answers=1),
    Said("3d 12:11", "bob", "Packed.", {"ann": "👍"}),
    Said("2d 19:30", "ann", "What we still need:\n- matches\n- coffee\n- a map that is not from 1987"),
    Said("2d 19:34", "cat", "I have coffee and matches."),
    Said("2d 19:41", "bob", "And I like the map from 1987. It still has the ferry.", {"ann": "😂", "cat": "😂"}, 2),
    Said("2d 19:45", "cat", "There is a ferry again: `09:15`, `10:45` and `12:15`."),
    Said("1d 17:03", "bob", "@cat train or car on the way back?"),
    Said("1d 17:20", "cat", "The car, if there is room for the tent."),
    Said("1d 17:21", "bob", "There is."),
    Said("95m", "ann", "I went shopping. It fills the whole hall."),
    Said("84m", "cat", "Photo, or it did not happen 📷", {"bob": "😂"}),
    Said("42m", "bob", "@ann did you get oat milk?"),
    Said("12m", "cat", "See you both at the station at eight, @ann @bob"),
)

#: The messages of private rooms, by their two users.
IN_PRIVATE: Final[Mapping[tuple[str, str], Sequence[Said]]] = {
    ("ann", "bob"): (
        Said("3d 20:15", "bob", "Are you free on Thursday? I would like to see the new film."),
        Said("3d 20:31", "ann", "Which one?"),
        Said("3d 20:32", "bob", "The one with the lighthouse"),
        Said("3d 20:33", "ann", "Oh yes! Half past seven?"),
        Said("3d 20:33", "bob", "👍"),
        Said("2d 09:12", "ann", "I have the tickets: row F."),
        Said("2d 09:13", "bob", "Thank you! I owe you an ice cream.", {"ann": "🍦"}),
        Said("1d 23:05", "bob", "That was a good film."),
        Said("1d 23:09", "ann", "The ending! I did not see that coming.", {"bob": "❤️"}),
        Said("75m", "bob", "Keep your ticket, we get a coffee for it."),
        Said("20m", "bob", "And I think that my umbrella is at your place ☂️"),
    ),
    ("ann", "cat"): (
        Said("2d 13:00", "cat", "May I borrow your sleeping bag? Mine has a hole."),
        Said("2d 13:25", "ann", "Of course. I'll bring it along."),
        Said("2d 13:26", "cat", "🙏"),
        Said("30m", "ann", "Found it, behind the skis."),
    ),
    ("bob", "cat"): (
        Said("1d 12:01", "cat", "When do you pick me up?"),
        Said("1d 12:04", "bob", "At half past seven, so that we are at the station at eight."),
        Said("1d 12:05", "cat", "I am the one with too much luggage."),
        Said("25m", "cat", "Make it a quarter past, I can't carry all of it at once."),
    ),
    ("ann", BOT): (Said("4d 17:50", BOT, "Hello Ann. I answer when you write to me: try `help`, `dice` or `time`."),),
    ("bob", BOT): (
        Said("3d 10:00", BOT, "Hello Bob. I answer when you write to me: try `help`, `dice` or `time`."),
        Said("3d 10:02", "bob", "dice"),
        Said("3d 10:02", BOT, "🎲 6"),
        Said("3d 10:03", "bob", "Ha!"),
    ),
    ("cat", BOT): (Said("3d 11:30", BOT, "Hello Cat. I answer when you write to me: try `help`, `dice` or `time`."),),
    ("ann", STRANGER): (Said("55m", STRANGER, "Hello Ann! Bob says that you could use a canoe at the lake?"),),
}
