"""What each request is answered with, if it is not refused: what the documents of the protocol tell."""

from __future__ import annotations

from typing import Final

from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.requests import AnyRequest

#: What a request is answered with. `read` and `typing` get `ok` only if they carry an id, `pong` nothing.
REPLIES: Final[dict[type[AnyRequest], tuple[type[replies.Reply], ...]]] = {
    req.Hello: (replies.Welcome,),
    req.Refresh: (replies.Ok,),
    req.Resume: (replies.Ok,),
    req.Ping: (replies.Pong,),
    req.Pong: (),
    req.Send: (replies.Ack,),
    req.Edit: (replies.Ack,),
    req.Delete: (replies.Ack,),
    req.React: (replies.Ack,),
    req.Read: (replies.Ok,),
    req.Typing: (replies.Ok,),
    req.History: (replies.Page,),
    req.Search: (replies.UserResults, replies.MessageResults),
    req.Groups: (replies.Groups,),
    req.Members: (replies.Members,),
    req.Watch: (replies.Presence,),
    req.Contacts: (replies.Contacts,),
    req.Requests: (replies.Requests,),
    req.ContactAction: (replies.Ok,),
    req.GroupAction: (replies.Ok,),
    req.Report: (replies.Ok,),
    req.Reports: (replies.Reports,),
    req.CloseReport: (replies.Ok,),
    req.AdminAction: (replies.Ok,),
    req.Audit: (replies.Audit,),
    req.Users: (replies.Users,),
    req.Rooms: (replies.Rooms,),
    req.Sessions: (replies.Sessions,),
    req.Suspensions: (replies.Suspensions,),
}
