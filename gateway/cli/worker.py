"""`gateway worker`: what proves, scans, promotes and announces uploads behind the API, by the bucket's events."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.listening import listen
from gateway.cli.output import Failure

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.wiring import Worker

Report = Callable[[Mapping[str, object]], None]


def worker(
    *,
    host: Annotated[str, typer.Option(help="Address of health and metrics.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of health and metrics.", min=0, max=65535)] = 9090,
    health: Annotated[bool, typer.Option(help="Answer /healthz, /readyz and /metrics.")] = True,
    at_once: Annotated[int, typer.Option(help="Messages in hand at once.", min=1, max=100)] = 10,
    take_over: Annotated[
        int, typer.Option(help="Seconds until others take over from a worker that died.", min=2, max=43_200)
    ] = 60,
) -> None:
    """Prove, scan, promote and announce what was uploaded, also where nobody completes it.

    Takes the bucket's events from the queue GATEWAY_EVENTS_QUEUE. Settings come from GATEWAY_* variables, .env and
    gateway.toml; credentials are found by boto3. Logs are JSON lines on standard error. SIGTERM and Ctrl-C end it as
    soon as what is in hand is finished, within 20 s. Run as many as you like.
    """
    from gateway.settings import load  # noqa: PLC0415 - the second that these imports take is not for --help to wait

    settings = load()
    if settings.events_queue is None:
        raise Failure("GATEWAY_EVENTS_QUEUE is missing: the URL of the queue that hears of the bucket's uploads.")
    bound = listen(host, port) if health else None
    _run(settings, settings.events_queue, bound, {"hands": at_once, "hidden": take_over})


def _run(settings: "Settings", events_queue: str, bound: socket.socket | None, tempo: Mapping[str, int]) -> None:
    from gateway import logs  # noqa: PLC0415 - see worker
    from gateway.metrics import Work  # noqa: PLC0415 - as above
    from gateway.wiring import create_worker  # noqa: PLC0415 - as above
    from gateway.worker.consumer import Tempo  # noqa: PLC0415 - as above
    from gateway.worker.health import health_app  # noqa: PLC0415 - as above

    logs.configure(settings.log_level)
    counted = Work()
    made = create_worker(
        settings,
        events_queue,
        clock=time.time,
        stopwatch=time.monotonic,
        report=_both(counted.observe, logs.access),
        tempo=Tempo(**tempo),
    )
    app = health_app(made.consumer.alive, made.checks, counted.text)
    try:
        asyncio.run(_work(made, app, bound))
    finally:
        made.close()


def _both(count: Report, log: Report) -> Report:
    def report(line: Mapping[str, object]) -> None:
        count(line)
        log(line)

    return report


async def _work(made: "Worker", app: Any, bound: socket.socket | None) -> None:  # noqa: ANN401 - an ASGI application
    """Work until a signal says stop; a second one leaves what is in hand to others."""
    import structlog  # noqa: PLC0415 - see worker

    loop, working = asyncio.get_running_loop(), asyncio.ensure_future(made.consumer.run())

    def stop() -> None:
        if made.consumer.stopping:
            working.cancel()
        made.consumer.stop()
        structlog.get_logger().info("stopping")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with _served(app, bound):
        address = None if bound is None else "{}:{}".format(*bound.getsockname()[:2])
        structlog.get_logger().info("working", health=address)
        with suppress(asyncio.CancelledError):
            await working
    structlog.get_logger().info("stopped")


@asynccontextmanager
async def _served(app: Any, bound: socket.socket | None) -> AsyncIterator[None]:  # noqa: ANN401 - as above
    """Answer on the socket, if there is one, beside what the block does."""
    from uvicorn import Server  # noqa: PLC0415 - see worker

    from gateway.http.serving import run_config  # noqa: PLC0415 - as above

    class Beside(Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are for the worker

    if bound is None:
        yield
        return
    server = Beside(run_config(app, lifespan="off"))
    serving = asyncio.create_task(server.serve([bound]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
