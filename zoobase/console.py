"""Output for the terminal: lines, tables, progress and errors. With --json, standard output is JSON only."""

import contextlib
import functools
import json
import logging
import math
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import click

from zoobase.errors import FAILED, MISSING, USAGE, near, unknown
from zoobase.files import own_temporary_folder

EXIT_TERMINATED = 128 + signal.SIGTERM
WHOLE = 24  # characters of a name in the first column of a table that are not wrapped
MAX_SEED = 2**32 - 1  # the largest random seed that NumPy and Keras accept
SEED = click.IntRange(0, MAX_SEED)


class Console:
    """Output of a command. With `json`, text goes to standard error; with `quiet`, it is suppressed."""

    printed_json = False  # whether the one JSON document on standard output is there
    is_process = False  # whether this process runs a command line and nothing else

    def __init__(self, quiet: bool = False, json: bool = False) -> None:
        self.quiet, self.json = quiet, json

    @functools.cached_property
    def rich(self) -> Any:
        """The underlying rich console."""
        from rich.console import Console as Rich

        return Rich(stderr=self.json, quiet=self.quiet, highlight=False, soft_wrap=True)

    @property
    def interactive(self) -> bool:
        """Whether a progress bar can be shown: a terminal, and not quiet."""
        return not self.quiet and self.rich.is_terminal

    @property
    def progress(self) -> Callable[[str], None] | None:
        """Prints a line of progress to standard error; None with `quiet` or `json`."""
        return None if self.quiet or self.json else lambda text: echo(text, err=True)

    def print(self, line: str) -> None:
        """Print one line."""
        self.rich.print(printable(line), markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table; the first column is a name, numbers are aligned right."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(
            title=escape(printable(title)), title_justify="left", title_style="bold", show_edge=False, pad_edge=False
        )
        rows = [
            ["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in rows
        ]
        for i, column in enumerate(columns):
            numeric = i > 0 and bool(rows) and all(_is_number(row[i]) for row in rows)
            whole = min(WHOLE, max((len(row[0]) for row in rows), default=0)) if i == 0 else None
            align = "right" if numeric else "left"
            table.add_column(escape(printable(column)), justify=align, overflow="fold", min_width=whole)
        for row in rows:
            table.add_row(*(escape(printable(cell)) for cell in row))  # class names and file names are data
        self.rich.print(table)

    def lines(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table of at most 80 characters; cells that are too long continue in the next line."""
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        rows = [list(map(printable, row)) for row in rows]
        widths = [max(len(text) for text in column) for column in zip(head, *rows, strict=True)]
        while sum(widths) + 2 * (len(widths) - 1) > 80:  # names are never truncated
            longest = max(range(1, len(widths)), key=lambda i: widths[i])
            widths[longest] -= 1
        for name, width in zip(head, widths, strict=True):
            table.add_column(name, overflow="fold", width=width)
        for row in rows:
            table.add_row(*map(escape, row))
        self.rich.print(table)

    def result(self, value: Mapping[str, Any] | Sequence[Any]) -> None:
        """Print the result as JSON, if `json` is set."""
        if self.json:
            Console.printed_json = True
            text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
            click.echo(text.encode("utf-8", "backslashreplace").decode())  # names of files need not be UTF-8


class Commands(click.Group):
    """A group that answers an unknown command with the nearest names, or with what replaces it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raise UsageError for a command that is not there."""
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            raise unknown("command", args[0], names)
        return super().resolve_command(ctx, args)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Redirect file descriptor 2 to /dev/null: TensorFlow's C++ code writes to it regardless of the log level."""
    sys.stderr.flush()
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)


def finite(value: Any) -> Any:
    """Return a value with null for NaN and infinity, which JSON does not have.

    Example:
        >>> finite({"loss": float("nan"), "epochs": [1, 2]})
        {'loss': None, 'epochs': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").replace(",", "").replace("-", "").replace("%", "").strip().isdigit() or not cell


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet, --json and --debug to a command, and pass it a `console`.

    Example:
        >>> @click.command()
        ... @common_options
        ... def hello(console):
        ...     console.print("hello")
        >>> [option.name for option in hello.params]
        ['quiet', 'as_json', 'debug']
    """

    @click.option("--quiet", is_flag=True, help="Print nothing unless it fails.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(command)
    def wrapped(*args: Any, quiet: bool, as_json: bool, debug: bool, **kwargs: Any) -> Any:
        console = Console(quiet, as_json)
        _show_log(console)
        return command(*args, console=console, **kwargs)

    return wrapped


def _show_log(console: Console) -> None:
    """Print the log of `pipelines`, such as the source of the data."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(f"data: {record.getMessage()}")

    log = logging.getLogger("pipelines")
    log.handlers, log.propagate = [Handler()], False
    log.setLevel(logging.INFO)


def run(command: click.Command, arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run a command and exit: an error is one line and an exit code, with a traceback only with --debug.

    Args:
        command: The command.
        arguments: Its arguments; None for those of the process, which then has a temporary folder of its own, and on
            SIGTERM removes what it has not finished, as on Ctrl-C.
        prog: Name of the program in the help text.

    Example:
        >>> run(click.Command("nothing"), ["--nonsense"])
        Traceback (most recent call last):
            ...
        SystemExit: 2
    """
    is_process = arguments is None
    arguments = list(sys.argv[1:] if is_process else arguments)
    debug, as_json = "--debug" in arguments, "--json" in arguments
    if is_process:
        Console.is_process = True
        signal.signal(signal.SIGTERM, _terminate)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.reconfigure(errors="backslashreplace")  # what an ASCII terminal cannot show
        with contextlib.suppress(OSError):  # a full disk may be no obstacle
            own_temporary_folder()
    if debug:
        os.environ["ZOO_DEBUG"] = "1"
    if sys.stdout is None:  # it was closed, as by `>&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    stdout = sys.stdout
    try:
        try:
            width = shutil.get_terminal_size().columns
            code = command.main(arguments, prog_name=prog, standalone_mode=False, max_content_width=width)
        except SystemExit as stop:
            if sys.stdout is not stdout or isinstance(stop.__context__, BrokenPipeError):
                raise BrokenPipeError from None  # click and rich replace it: click with another stdout
            code = stop.code
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt) as stop:
        _stop(stop, as_json)
    except BrokenPipeError:
        _discard_output()  # the reader closed the pipe, as `| head` does
        sys.exit(0)
    except Exception as e:
        if debug:
            traceback.print_exc()
        if (stop := _replaced_stop(e)) is not None:
            _stop(stop, as_json)
        _fail(*describe_error(e), as_json)


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


def _stop(stop: BaseException, as_json: bool) -> NoReturn:
    sys.unraisablehook = lambda _: None  # what was interrupted may fail again when it is deleted
    _fail("stopped", EXIT_TERMINATED if _Terminated in map(type, (stop, stop.__cause__)) else 130, as_json)


def _replaced_stop(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt during whose cleaning a library failed, as `zipfile` does with an open file; or None."""
    while error is not None and not hasattr(error, "exit_code"):
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _terminate(number: int, frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not interrupt the cleaning
    raise _Terminated


def describe_error(error: Exception) -> tuple[str, int]:
    """Return the sentence that a command prints for an exception, and its exit code."""
    if isinstance(error, click.NoSuchOption):
        parameters = error.ctx.command.get_params(error.ctx) if error.ctx else ()
        matches = " or ".join(near(error.option_name, [o for p in parameters for o in p.opts if o.startswith("--")]))
        hint = f"did you mean {matches}?" if matches else "--help lists them"
        return f"no such option {error.option_name}; {hint}", USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), USAGE
    if (code := getattr(error, "exit_code", None)) is not None:
        return str(error), code
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return f"{where}{error.strerror or error}", MISSING if missing else FAILED
    if isinstance(error, UnicodeError):
        return f"a name or a text is not UTF-8: {error}", USAGE
    if isinstance(error, RecursionError):
        return "the input is nested too deeply", USAGE
    if isinstance(error, ModuleNotFoundError) and error.name:
        from zoobase.requirements import missing_command

        name = error.name.partition(".")[0]
        if command := missing_command(name):
            return f"this needs {name}, which is not installed: {command}", MISSING
    text = describe_cause(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"there is not enough memory: {text or 'a smaller batch size or input may help'}", FAILED
    notes = "".join(f"{note}; " for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {text} ({notes}run again with --debug for the traceback)", FAILED


def describe_cause(error: Exception) -> str:
    r"""Return the message of an exception in one line.

    Of TensorFlow's it is the last line, which has the cause. What Keras writes around a cause, the call and the list of
    its arguments, is left out.

    Example:
        >>> describe_cause(ValueError("Exception encountered when calling Dense.call().\n\nbad shape (2,)"))
        'bad shape (2,)'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).partition("Arguments received by ")[0].strip()
    text = re.sub(r"^Exception encountered when calling .*\n", "", text)
    return " ".join((text.splitlines()[-1] if "Graph execution error" in text else text).split())


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    message = printable(message)
    click.echo(f"error: {message}", err=True)
    try:
        if as_json and not Console.printed_json:
            click.echo(json.dumps({"error": message, "code": code}, ensure_ascii=False))
        sys.stdout.flush()
    except OSError:  # on a full disk Python would flush again when it ends, fail, and exit with 120
        _discard_output()
    sys.exit(code)


def echo(text: str, err: bool = False) -> None:
    """Print a line that may hold names from files, on standard output or standard error."""
    click.echo(printable(text), err=err)


def printable(text: str) -> str:
    """Return text with control characters escaped: names of files and classes cannot move the terminal's cursor."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
