"""One connected client: its conversation, its place in each room, its deadlines."""

from gochat.session.dispatch import client_session
from gochat.session.gateway import Gateway
from gochat.session.session import Session

__all__ = ["Gateway", "Session", "client_session"]
