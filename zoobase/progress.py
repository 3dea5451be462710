"""Progress of work in numbered steps."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from zoobase.console import Console


class StepProgress:
    """A progress bar with the time left on a terminal, elsewhere a plain line after every tenth of the steps.

    Example:
        >>> with StepProgress(Console(), "image", total=20) as progress:
        ...     progress(20, "1 error")
        image 20/20  1 error
    """

    def __init__(self, console: Console, unit: str, total: int) -> None:
        """Show the progress of `total` steps, each of which is one `unit`."""
        self.console, self.unit, self.total, self.tenths, self.bar, self.task = console, unit, total, 0, None, None

    def __enter__(self) -> StepProgress:
        if self.console.interactive:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns: tuple[Any, ...] = (
                self.unit + " {task.completed}/{task.total}",
                BarColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, TextColumn("{task.description}"), console=self.console.rich)
            self.bar.start()
            self.task = self.bar.add_task("", total=self.total)
        return self

    def __call__(self, step: int, text: str = "") -> None:
        """Show that `step` steps are done."""
        tenths = 10 * step // max(self.total, 1)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description=text)
        elif step == 1 or tenths > self.tenths:
            self.console.print(f"{self.unit} {step}/{self.total}  {text}".rstrip())
        self.tenths = tenths

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()
