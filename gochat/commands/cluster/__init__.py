"""`gochat cluster`: several nodes as one. The modules that a command needs are imported when it is called."""

from __future__ import annotations

import click

from gochat.commands.cluster.create import create
from gochat.commands.cluster.forget import forget
from gochat.commands.cluster.join import join
from gochat.commands.cluster.leave import leave
from gochat.commands.cluster.status import status
from gochat.commands.cluster.up import up


@click.group()
def cluster() -> None:
    """Run several nodes as one.

    Each node holds all rooms and takes any client; Redis or Valkey puts what they write in one order.

    \b
      gochat cluster up -n 3                         try it on this machine
      gochat cluster create --cluster redis://HOST   the first node's folder
      gochat cluster join --from BACKUP              one more node's folder
      gochat serve --cluster redis://HOST            run a node
    """


for _command in (up, create, join, status, forget, leave):
    cluster.add_command(_command)
