"""Progress bars on standard error, if that is a terminal: one at a time, and off the cursor's line when it ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Display
from rich.table import Column
from rich.text import Text

from gateway.client import Progress

NAME_SHARE = 3  # a name takes at most a third of the line


class _Pace(ProgressColumn):
    """What is being waited for, or the rate and, until the end, the time left."""

    def render(self, task: Task) -> Text:
        if task.fields["note"]:
            return Text(task.fields["note"], style="progress.remaining")
        speed = task.finished_speed or task.speed
        rate = "" if speed is None else f"{decimal(int(speed))}/s"
        left = None if task.finished or speed is None else task.time_remaining
        if left is None:
            return Text(rate, style="progress.data.speed")
        minutes, seconds = divmod(int(left), 60)
        return Text(f"{rate} {minutes // 60}:{minutes % 60:02d}:{seconds:02d}", style="progress.data.speed")


class Bar:
    """One bar. What an earlier try sent is not counted into the rate."""

    def __init__(self, display: Display, name: str) -> None:
        """Show a name, of which nothing has moved yet."""
        self._display = display
        self._task = display.add_task(name, total=None, note="")
        self.moved = False

    def tell(self, progress: Progress) -> None:
        """Move it."""
        self._show()
        if not self.moved:
            (task,) = self._display.tasks
            task.completed = progress.done
            self.moved = True
        self._display.update(self._task, completed=progress.done, total=progress.total, note="")

    def note(self, text: str) -> None:
        """Show what is being waited for, until it moves again."""
        self._show()
        self._display.update(self._task, note=text)

    def say(self, line: str) -> None:
        """Print a line above it; on a terminal alone."""
        if not self._display.disable:
            self._display.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        # Not before there is anything to show, nor at once: `| cat` may be about to print the last result.
        if not self._display.disable and not self._display.live.is_started:
            self._display.live.start(refresh=False)


@contextmanager
def bar(name: str) -> Iterator[Bar]:
    """Show a bar for as long as the block runs. One that moved is left there as a line of its own."""
    console = Console(stderr=True)
    display = Display(
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", max_width=max(1, console.width // NAME_SHARE)),
        ),
        BarColumn(),
        DownloadColumn(table_column=Column(no_wrap=True)),
        _Pace(table_column=Column(no_wrap=True)),
        console=console,
        disable=not sys.stderr.isatty(),
        redirect_stdout=False,
    )
    shown = Bar(display, name)
    try:
        yield shown
    finally:
        if display.live.is_started:
            display.live.transient = not shown.moved
            display.stop()
