"""The command line: a table of commands, each imported when it is called, and one place where errors become exit codes.

Importing everything would take half a second; `gochat --help` loads nothing but click.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import NamedTuple, NoReturn

import click

from gochat import __version__
from gochat.commands import (
    EXIT_AUTH,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    CommandError,
    interrupt_alone,
)
from gochat.errors import AuthError, ConfigError, GochatError


class Row(NamedTuple):
    module: str
    help: str
    """As the command's own first line, so that the list needs no import."""


COMMANDS = {
    "demo": Row("gochat.commands.demo", "Try gochat: a node with people, some days of history and a bot."),
    "serve": Row("gochat.commands.serve", "Run a node until SIGTERM or Ctrl-C."),
    "cluster": Row("gochat.commands.cluster", "Run several nodes as one."),
    "chat": Row("gochat.commands.chat", "Chat from this terminal."),
    "send": Row("gochat.commands.send", "Send one message."),
    "tail": Row("gochat.commands.tail", "Print what happens, as it happens."),
    "contact": Row("gochat.commands.contact", "Say who may write to you."),
    "admin": Row("gochat.commands.admin", "Moderate a running node."),
    "top": Row("gochat.commands.top", "Watch a running node: rates, refusals, slow sessions, mailboxes, supervisors."),
    "notify": Row("gochat.commands.notify", "Look after notifications to users who are away."),
    "room": Row("gochat.commands.room", "Work on a room's log."),
    "user": Row("gochat.commands.user", "Export or delete a user's data, or release a deleted user's id."),
    "backup": Row("gochat.commands.backup", "Copy the node's database to FILE, whole and checked."),
    "restore": Row("gochat.commands.restore", "Put a backup in the place of the database of a stopped node."),
    "token": Row("gochat.commands.token", "Issue and inspect tokens."),
    "link": Row("gochat.commands.link", "Print a link that signs a user in, once."),
    "config": Row("gochat.commands.config", "Write, check and show settings."),
    "policy": Row("gochat.commands.policy", "Try rules and limits on recorded messages."),
    "sim": Row("gochat.commands.sim", "Try to break gochat: whole nodes on simulated machines, with faults."),
    "doctor": Row(
        "gochat.commands.doctor", "Check whether a node can run here: open files, ports, database, disk, clock."
    ),
}


class LazyGroup(click.Group):
    """Finds commands in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command = getattr(importlib.import_module(row.module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from gochat.release import commit  # may run git

    built_from = commit()
    click.echo(f"gochat {__version__} ({built_from})" if built_from else f"gochat {__version__}")
    ctx.exit()


def _print_licences(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from gochat.commands.licences import lines  # reads a hundred files

    click.echo("\n".join(lines()))
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option(
    "--licenses",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_licences,
    help="Show what gochat is made of, with all licences, and exit.",
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.pass_context
def gochat(ctx: click.Context, debug: bool) -> None:
    """Private and group chat that loses nothing.

    \b
      gochat demo                      try it: a node with people, a history and a bot
      gochat serve                     serve on this machine
      gochat chat user:bob --as ann    chat, in another terminal
      gochat COMMAND --help            what a command takes, with examples
    """
    ctx.obj = debug


def main() -> NoReturn:
    """Run the command line and exit with one of `EXIT_CODES`."""
    _fill_standard_descriptors()
    sys.exit(run(sys.argv[1:]))


def _fill_standard_descriptors() -> None:
    """Open /dev/null in the place of standard files that the caller closed: otherwise the first socket would become
    standard output, and printed text would go to its peer. Text that is printed to a closed one goes nowhere."""
    if not all(map(_is_open, range(3))):  # Where all are, as nearly always, there need not even be a /dev/null.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(descriptor)
    # Python has no object for a file that was closed at its start.
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def run(arguments: list[str]) -> int:
    """Run one command line; an error becomes a line or two on standard error. Returns the exit code."""
    context: click.Context | None = None
    try:
        context = gochat.make_context("gochat", list(arguments))
        with interrupt_alone(), context:
            result = gochat.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        _drop_output()
        return EXIT_FAILED
    except Exception as error:
        if context is not None and context.obj:
            raise
        if isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT_ERRORS:
            _drop_output()
            _say(f"standard output can't be written: {(error.strerror or 'failed').lower()}", "")
            return EXIT_FAILED
        return _explain(error)
    return result if isinstance(result, int) else EXIT_OK


#: The errors of a write to a full disk, to a broken one, over a quota, over a limit of a file's size, or to a full pipe
#: that does not wait, as another program may have set it. An error about a file by name says that name; one without a
#: name is about the standard output.
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EAGAIN})


def _drop_output() -> None:
    """Send what is left of the output nowhere: Python would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: Exception) -> int:
    """Say in one line what went wrong, in a second what to do, and choose the exit code."""
    if not isinstance(error, GochatError):
        _say(f"internal error: {type(error).__name__}: {error}", "`gochat --debug ...` shows where")
        return EXIT_INTERNAL
    if isinstance(error, CommandError):
        _say(str(error), error.hint)
        return error.code
    if isinstance(error, ConfigError):
        _say(str(error), error.hint)
        return EXIT_CONFIG
    _say(str(error), "")
    return EXIT_AUTH if isinstance(error, AuthError) else EXIT_FAILED


def _say(problem: str, hint: str) -> None:
    from gochat.commands.files import note  # imported with the error, since `--help` needs no file
    from gochat.log import inert  # an error may repeat what a peer or a file said

    note(f"gochat: {inert(problem)}")
    if hint:
        note(f"hint: {hint}")


def _show(error: click.ClickException) -> None:
    """Print the error as click does, but let the exit code stand where it can't be written."""
    from gochat.commands.files import note

    text = io.StringIO()
    error.show(text)
    note(text.getvalue(), end="")
