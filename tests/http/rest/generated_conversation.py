"""A conversation by a client that was generated from the OpenAPI document, as package `generated`.

Run by the Python that has what such clients need; standard input names the server and the tokens. Knows nothing else.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from generated import AuthenticatedClient
from generated.api.blocks import people_block, people_list_blocks, people_unblock
from generated.api.contacts import people_add, people_list_contacts
from generated.api.groups import (
    export_download,
    groups_change,
    groups_create,
    groups_delete,
    groups_list_groups,
    groups_read,
    members_list_members,
    members_put,
    members_remove,
)
from generated.api.me import users_me
from generated.api.messages import messages_delete, messages_edit, messages_history, messages_read, messages_send
from generated.api.requests import people_accept, people_list_requests
from generated.models import GroupChange, Membership, MembershipRole, MessageEdit, NewGroup, NewMessage, ProblemDetails

told = json.load(sys.stdin)
ann, bob = (
    AuthenticatedClient(base_url=told["url"], token=told[name], raise_on_unexpected_status=True)
    for name in ("ann", "bob")
)


def refused(answer: Any) -> str:
    assert isinstance(answer, ProblemDetails), answer
    return str(answer.code.value)


me = users_me.sync(client=ann)
assert (me.user, sorted(me.scopes)) == ("ann", ["chat:read", "chat:write", "groups:write"])

# A group
group = groups_create.sync(client=ann, body=NewGroup(name="tea", title="Tea"))
assert (group.room, group.title, group.members) == ("group:tea", "Tea", 1)
assert refused(groups_create.sync(client=ann, body=NewGroup(name="tea"))) == "conflict"
added = members_put.sync_detailed("tea", "bob", client=ann)
assert (added.status_code, added.parsed.role.value) == (201, "member")
raised = members_put.sync("tea", "bob", client=ann, body=Membership(role=MembershipRole.MODERATOR))
assert raised.role.value == "moderator"
assert groups_change.sync("tea", client=bob, body=GroupChange(title="Green tea")).title == "Green tea"
assert [each.user for each in members_list_members.sync("tea", client=bob).members] == ["ann", "bob"]
assert [each.name for each in groups_list_groups.sync(client=bob).groups] == ["tea"]

# Messages
sent = messages_send.sync(client=ann, body=NewMessage(to="group:tea", body="hi"), idempotency_key="one")
again = messages_send.sync_detailed(client=ann, body=NewMessage(to="group:tea", body="hi"), idempotency_key="one")
assert (again.parsed.id, again.headers["idempotent-replayed"]) == (sent.id, "true")
edited = messages_edit.sync(sent.id, client=ann, body=MessageEdit(body="hello"))
assert (edited.body, edited.seq) == ("hello", sent.seq)
assert refused(messages_edit.sync(sent.id, client=bob, body=MessageEdit(body="x"))) == "forbidden"
reply = messages_send.sync(client=bob, body=NewMessage(to=sent.room, body="ho", reply_to=sent.seq))
assert messages_read.sync(reply.id, client=ann).reply_to == sent.seq
assert messages_delete.sync_detailed(reply.id, client=ann).status_code == 204
page = messages_history.sync(client=bob, room="group:tea", limit=200)
assert [entry.seq for entry in page.entries] == list(range(1, page.head + 1))
kinds = [type(entry).__name__ for entry in page.entries]
assert kinds == ["Member", "Member", "Member", "Group", "MessageView", "Edit", "MessageView", "Delete"], kinds

# A private room: a request, an answer, a block
assert messages_send.sync(client=ann, body=NewMessage(to="user:bob", body="psst")).room == "dm:ann:bob"
assert [each.user for each in people_list_requests.sync(client=bob).requests] == ["ann"]
assert people_accept.sync("ann", client=bob).state.value == "contact"
assert people_add.sync("carl", client=bob).state.value == "contact"
assert [each.user for each in people_list_contacts.sync(client=bob).contacts] == ["ann", "carl"]
assert people_block.sync("ann", client=bob).state.value == "blocked"
assert refused(messages_send.sync(client=ann, body=NewMessage(to="user:bob", body="psst"))) == "blocked"
assert [each.user for each in people_list_blocks.sync(client=bob).contacts] == ["ann"]
assert people_unblock.sync_detailed("ann", client=bob).status_code == 204

# All of it as a file
assert refused(export_download.sync("tea", client=bob)) == "forbidden"
Path("tea.sqlite").write_bytes(export_download.sync("tea", client=ann).payload.read())
(version,) = sqlite3.connect("tea.sqlite").execute("PRAGMA schema_version").fetchone()
assert version > 0

# The end of it
assert members_remove.sync_detailed("tea", "bob", client=bob).status_code == 204
assert refused(groups_read.sync("tea", client=bob)) == "not_member"
assert groups_delete.sync_detailed("tea", client=ann).status_code == 204
assert refused(groups_read.sync("tea", client=ann)) == "not_found"
print("done")
