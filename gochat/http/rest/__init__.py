"""REST under /v1: other programs use the same commands as sessions, by the same rules.

A request becomes the very request struct that a frame would have been, needs the scope that stands in
`protocol.catalogue`, and is carried out by its user's actor. So REST allows nothing that another transport forbids.
Reading goes to the archive. `table` names every operation; routes and OpenAPI document come from it.
"""

from gochat.http.rest.bearer import BearerAuth
from gochat.http.rest.context import RestContext
from gochat.http.rest.exports import Exports
from gochat.http.rest.routes import routes

__all__ = ["BearerAuth", "Exports", "RestContext", "routes"]
