"""The load generator: raw non-blocking sockets and epoll, so that as much of a core as can be is left to the server."""
