"""`gateway serve`: the gateway in production, by uvicorn with uvloop and httptools, in one process or several."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.listening import listen, listen_unix
from gateway.cli.output import Failure

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gateway.settings import Settings

IMPORT_STRING = "gateway.cli.serve:application"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that serve, each on one core.", min=1, max=256)] = 1,
    uds: Annotated[
        Path | None, typer.Option(help="Listen on this socket file, instead of host and port.", dir_okay=False)
    ] = None,
) -> None:
    """Serve the gateway, in production behind a proxy or load balancer.

    Settings come from GATEWAY_* variables, .env and gateway.toml; the store's credentials are found by boto3. Logs are
    JSON lines on standard error. SIGTERM and Ctrl-C end it as soon as what is under way is answered, within 20 s.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has stopped
    from gateway.settings import load  # noqa: PLC0415 - the second that these imports take is not for --help to wait

    settings = load()
    bound = listen(host, port) if uds is None else listen_unix(uds)
    try:
        _run(settings, bound, host, workers)
    except KeyboardInterrupt:
        pass
    finally:
        if uds is not None:
            uds.unlink(missing_ok=True)


def _run(settings: "Settings", bound: socket.socket, host: str, workers: int) -> None:
    import structlog  # noqa: PLC0415 - commands of the `client` extra do without
    from uvicorn import Server  # noqa: PLC0415 - see serve
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - as above

    from gateway.http.serving import run_config  # noqa: PLC0415 - as above

    with _count_together(settings):
        app = _application(settings)  # also for several workers: what is amiss is told here, once, and not by each
        warn(settings, workers)
        _expose(settings, host)
        name = bound.getsockname()
        structlog.get_logger().info("listening", address=name if isinstance(name, str) else f"{name[0]}:{name[1]}")
        if workers == 1:
            Server(run_config(app)).run([bound])
        else:
            Multiprocess(run_config(IMPORT_STRING, factory=True, workers=workers), [bound]).run()


def application() -> "FastAPI":
    """Return the gateway as the settings want it: what each of several workers runs."""
    from gateway.settings import load  # noqa: PLC0415 - see serve

    return _application(load())


def _application(settings: "Settings") -> "FastAPI":
    from gateway import logs  # noqa: PLC0415 - see serve
    from gateway.app import create_app  # noqa: PLC0415 - as above
    from gateway.http.serving import settle  # noqa: PLC0415 - as above

    logs.configure(settings.log_level)
    app = create_app(settings, **_counted(logs.access)) if settings.metrics_port else create_app(settings)
    settle()
    return app


def _counted(log: Callable[[Mapping[str, object]], None]) -> dict[str, Any]:
    """Return what lets an application count what it does."""
    from gateway import metrics  # noqa: PLC0415 - not before the folder that workers share is named

    def count(line: Mapping[str, object]) -> None:
        metrics.observe(line)
        log(line)

    return {"log": count, "uncounted": metrics.uncounted}


def _count_together(settings: "Settings") -> ExitStack:
    """Make the folder into which this process and its workers count, when there are metrics at all."""
    stack = ExitStack()
    if settings.metrics_port is not None:
        folder = stack.enter_context(TemporaryDirectory(prefix="gateway-metrics-"))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    return stack


def _expose(settings: "Settings", host: str) -> None:
    if settings.metrics_port is not None:
        from gateway import metrics  # noqa: PLC0415 - see _application

        try:
            metrics.expose(host, settings.metrics_port)
        except OSError:
            raise Failure("GATEWAY_METRICS_PORT has to be a port that is free.") from None


def warn(settings: "Settings", workers: int = 1) -> None:
    """Tell at the start what will be refused later with `insecure-storage`, and of quotas that are larger than set."""
    import structlog  # noqa: PLC0415 - see _run

    https = (settings.public_url or "").startswith("https:")
    if https and settings.public_endpoint().scheme == "http":
        structlog.get_logger().warning(
            "uploads and links will be refused: GATEWAY_PUBLIC_URL is https, and the public storage endpoint is http, "
            "which a browser would block: give GATEWAY_PUBLIC_STORAGE_ENDPOINT an https address"
        )
    limited = any(policy.quota for tenant in settings.tenants.values() for policy in tenant.policies.values())
    if limited and workers > 1 and settings.limits_url is None:
        structlog.get_logger().warning(
            "each of the workers counts quotas for itself, so that in all they grant as many times as much: "
            "give GATEWAY_LIMITS_URL a Redis in which they count together"
        )
