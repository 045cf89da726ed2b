"""Rounds side by side: processes that play them, and end with whoever asked for them."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

Task = TypeVar("Task")
Result = TypeVar("Result")
SECONDS = 60
"""How long a process may take to end what it has started."""
ENDS = (signal.SIGINT, signal.SIGTERM)


class EndedError(BaseException):
    """The rounds are to end because of a signal.

    Attributes:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signum)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have the first SIGINT or SIGTERM raise an ``EndedError``; what is tidied up goes on then."""

    def end(signum: int, _: FrameType | None) -> NoReturn:
        for each in ENDS:
            signal.signal(each, signal.SIG_IGN)
        raise EndedError(signum)

    before = {each: signal.signal(each, end) for each in ENDS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def spread(
    play: Callable[[Task], Generator[Result]], tasks: Iterable[Task], processes: int
) -> Generator[Result]:
    """Play in several processes, which end what they have started when this ends early.

    Args:
        play: Plays the rounds of a task. It goes to the processes by its name.
        tasks: The tasks.
        processes: How many processes.

    Yields:
        What the rounds came to, as they end.

    Raises:
        ChildProcessError: A process died.
    """
    context, left = multiprocessing.get_context("spawn"), iter(tasks)
    workers: dict[Connection, SpawnProcess] = {}

    def give(worker: Connection) -> None:
        # What ends them is no task: a process waits for the next one until it is told.
        worker.send([task] if (task := next(left, None)) is not None else [])

    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(play, theirs))
            process.start()
            theirs.close()
            workers[ours] = process
            give(ours)
        while workers:
            for ready in wait([*workers]):
                assert ready in workers
                try:
                    results = ready.recv()
                except (EOFError, ConnectionResetError):
                    process = workers.pop(ready)
                    process.join()
                    if process.exitcode:
                        raise ChildProcessError(f"A process died: {process.exitcode}.") from None
                    continue
                yield from results
                if not results:
                    give(ready)
    finally:
        for process in workers.values():
            process.terminate()
        for process in workers.values():
            process.join(SECONDS)
            process.kill()


def _work(play: Callable[[Any], Generator[Any]], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all, and one of us ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    while tasks := connection.recv():
        with contextlib.closing(play(*tasks)) as results:
            for result in results:
                connection.send([result])
        connection.send([])
