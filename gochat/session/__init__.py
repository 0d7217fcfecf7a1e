"""One connected client: its conversation, its place in each room, its deadlines."""

from gochat.session.dispatch import ClientSession
from gochat.session.gateway import Gateway

__all__ = ["ClientSession", "Gateway"]
