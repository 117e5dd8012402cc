"""Processes of the gateway that die where a test wants: forked from one that has imported everything already."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from typing import Any

import uvicorn

from gateway.http.serving import run_config
from tests.gateways import make_app
from tests.servers.s3 import S3Server

ENDED_WITHIN = 60.0  # seconds
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


@contextmanager
def running(work: Callable[..., None], *arguments: object) -> Iterator[ForkServerProcess]:
    """Run `work` in a process of its own, and end it if it has not ended by itself."""
    process = CONTEXT.Process(target=work, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(ENDED_WITHIN)
        process.close()


def serve(listener: socket.socket, server: S3Server, flags: Mapping[str, Any]) -> None:
    """Serve the gateway, as `gateway serve` does."""
    uvicorn.Server(run_config(make_app(server, **flags), lifespan="off")).run([listener])


@contextmanager
def serving(server: S3Server, flags: Mapping[str, Any]) -> Iterator[tuple[ForkServerProcess, str]]:
    """Give a process that serves the gateway, and where."""
    with socket.create_server(("127.0.0.1", 0)) as listener, running(serve, listener, server, flags) as process:
        yield process, f"http://127.0.0.1:{listener.getsockname()[1]}"
