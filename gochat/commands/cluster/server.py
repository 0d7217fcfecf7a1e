"""The server of a cluster, as commands reach it: one connection, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from gochat.cluster.access import link_maker
from gochat.cluster.layout import UnfitServer
from gochat.cluster.link import Link
from gochat.commands import EXIT_AUTH, EXIT_UNREACHABLE, CommandError
from gochat.config import Settings

_PASSWORD = "the password is read from cluster.password_file or GOCHAT_CLUSTER__PASSWORD, the user from cluster.url"  # noqa: S105
_ALLOW = "allow it to the user of cluster.url; docs/howto/cluster.md has the list of commands that gochat needs"


@contextmanager
def server(settings: Settings) -> Iterator[Link]:
    """A connection to the primary. Raises CommandError, also for errors inside the block. An error of a file, which has
    a name, is told with that."""
    url = settings.cluster.url
    connect = link_maker(settings.cluster)
    link: Link | None = None
    try:
        link = connect()
        link.open()
        yield link
    except UnfitServer as error:
        raise CommandError(f"{url}: {error}", hint=error.hint) from error
    except AuthenticationError as error:
        raise CommandError(f"{url}: {error}", hint=_PASSWORD, code=EXIT_AUTH) from error
    except ResponseError as error:
        raise CommandError(f"{url}: {error}", hint=_ALLOW) from error
    except (RedisError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise CommandError(f"{error.filename}: {(error.strerror or 'failed').lower()}") from error
        hint = "is the server running, and cluster.url right?"
        raise CommandError(f"{url} can't be reached: {error}", hint=hint, code=EXIT_UNREACHABLE) from error
    finally:
        if link is not None:
            link.close()
