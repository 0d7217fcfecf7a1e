"""Suites of one node that are played against three nodes of a cluster, each connection at another one.

The daily run plays one test of each suite. Some places are left out, each by its name and reason: a cluster
promises less there, and says so (docs/howto/cluster.md, docs/reference/protocol.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
#: Of each suite the test that the daily run plays.
DAILY: Final = frozenset({
    "test_no_limit_and_admins",
    "test_links_between_contacts_alone",
    "test_a_group_from_creation_to_deletion[tcp]",
    "test_members_come_and_go",
    "test_both_doors_tell_the_same",
    "test_a_declined_request[tcp]",
    "test_what_was_said_before_is_no_target[tcp]",
    "test_who_is_muted_reads_but_does_not_write",
    "test_resuming_brings_what_was_missed[tcp]",
})  # fmt: skip
_PRESENCE: Final = "whoever has come a moment ago is seen on other nodes a tenth of a second later"
_READ: Final = "the second of two reads within half a second is known elsewhere half a second later"
_ONE_NODE: Final = "looks into the one node, or breaks its store"
_BUDGET: Final = "a budget counts here what was done on another node once that is recorded here"
EXCEPT: Final = {
    "test_mentions_and_how_far_the_others_are": _READ,
    "test_the_last_group_ends_it_for_both": _PRESENCE,
    "test_the_last_contact_ends_it": _PRESENCE,
    "test_who_became_a_stranger_sees_presence_no_more": _PRESENCE,
    "test_a_block_holds_and_is_undone": _PRESENCE,
    "test_whoever_came_or_went_untold_comes_again": _ONE_NODE,
    "test_a_reader_who_is_removed_while_lagging_is_told_no_later_head": _ONE_NODE,
    "test_strangers_count_in_all_groups_together_and_contacts_do_not": _BUDGET,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in [item for item in items if HERE in item.path.parents]:
        if item.name.partition("[")[0] in EXCEPT:
            items.remove(item)
        elif item.name not in DAILY:
            item.add_marker(pytest.mark.long)
