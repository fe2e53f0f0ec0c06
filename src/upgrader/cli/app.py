"""The program: its options before the verb, and its verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from upgrader.cli import exit_codes
from upgrader.cli.backfill import backfill
from upgrader.cli.baseline import baseline
from upgrader.cli.check import check
from upgrader.cli.console import Output
from upgrader.cli.demo import demo
from upgrader.cli.downgrade import downgrade
from upgrader.cli.failures import Interrupted, guarded
from upgrader.cli.generate import generate
from upgrader.cli.history import history
from upgrader.cli.init import init
from upgrader.cli.invocation import Invocation
from upgrader.cli.jobs import jobs
from upgrader.cli.list import list_commands
from upgrader.cli.plan import plan
from upgrader.cli.preflight import preflight
from upgrader.cli.prune import prune
from upgrader.cli.signals import ending_on_terminate
from upgrader.cli.sql import sql
from upgrader.cli.status import status
from upgrader.cli.upgrade import upgrade
from upgrader.cli.why import why
from upgrader.cli.worker import worker
from upgrader.cli.workspace import workspace

_HELP = {"-h", "--help"}


class _Program(typer.core.TyperGroup):
    """Lets Ctrl-C through: the parser would make a silent exit code of it."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


app = typer.Typer(
    name="upgrader",
    cls=_Program,
    help="Versioned database upgrades for PostgreSQL products with releases and many tenants.",
    epilog="Exit codes: 0 done, 1 a step failed, 2 refused before anything ran, 3 another upgrade is running, "
    "4 stopped before a version, 5 something was found, 70 a bug, 130/143 signals.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich would more than double the time that help takes
    context_settings={"help_option_names": sorted(_HELP)},
)
_VERBS: dict[str, Callable[..., int]] = {
    "init": init,
    "generate": generate,
    "list": list_commands,
    "check": check,
    "plan": plan,
    "preflight": preflight,
    "sql": sql,
    "upgrade": upgrade,
    "downgrade": downgrade,
    "status": status,
    "history": history,
    "why": why,
    "baseline": baseline,
    "prune": prune,
}
for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)
app.add_typer(workspace, name="workspace")
app.add_typer(backfill, name="backfill")
app.add_typer(worker, name="worker")
app.add_typer(jobs, name="jobs")
app.command("demo")(demo)


def main() -> int:
    """Run the program with the arguments of the process and give its exit code."""
    output = Output.of_process()
    arguments = sys.argv[1:]
    invocation = Invocation(output)

    def body() -> int:
        command, name, rest = _asked_for(typer.main.get_command(app), arguments)
        with ending_on_terminate(), redirect_stdout(sys.stdout):  # which a verb may replace
            return _code(command.main(rest, name, standalone_mode=False, obj=invocation))

    if not all(map(_is_text, arguments)):
        output.problem("an argument is not valid text", "write arguments in the encoding of your locale")
        return exit_codes.REFUSED
    try:
        code = guarded(body, output, arguments=arguments, debug=lambda: invocation.debug)
    finally:
        output.give_stdout_back()
        output.flush()  # the parser ends the program itself where the reader of its help has left
    if output.write_error is not None:
        output.problem(f"the output could not be written: {output.write_error.strerror}")
        return code or exit_codes.FAILED
    return code


def _is_text(argument: str) -> bool:
    """Tell whether an argument could be decoded: what could not be stands in it as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


def _asked_for(program: Any, arguments: list[str]) -> tuple[Any, str, list[str]]:
    """Give what to run: a command, its name and its arguments.

    Who asks for help on a verb is sent straight there: on its way Typer would load pydantic to look at the
    options before the verb, which takes longer than the rest.
    """
    command, name = program, "upgrader"
    if arguments and not _HELP.intersection(arguments):
        return command, name, arguments
    for word in arguments:
        below = getattr(command, "commands", {})
        if word in below:
            command, name = below[word], f"{name} {word}"
    return command, name, ["--help"]


def _code(result: object) -> int:
    return result if isinstance(result, int) else exit_codes.DONE


def _show_version(context: typer.Context, is_asked_for: bool) -> None:
    if not is_asked_for:
        return
    from importlib.metadata import version

    Invocation.of(context).output.show_exactly(f"upgrader {version('upgrader')}")
    raise typer.Exit(exit_codes.DONE)


@app.callback(invoke_without_command=True)
def before_the_verb(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Read the settings from this file.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option("--database-url", metavar="URL", help="The database, or embedded:PATH.")
    ] = None,
    commands: Annotated[
        list[str] | None,
        typer.Option("--commands", metavar="PATH", help="A directory or package of commands; repeatable."),
    ] = None,
    app_version: Annotated[
        str | None, typer.Option("--app-version", metavar="V", help="The version of the application.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Never use colours.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool,
        typer.Option("--version", help="Print the program's version.", is_eager=True, callback=_show_version),
    ] = False,
) -> int:
    """Versioned database upgrades for PostgreSQL products with releases and many tenants."""
    invocation = Invocation.of(context)
    invocation.config, invocation.database_url, invocation.app_version = config, database_url, app_version
    invocation.commands, invocation.debug = tuple(commands or ()), debug
    invocation.output.colour = invocation.output.colour and not no_color
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return exit_codes.DONE
