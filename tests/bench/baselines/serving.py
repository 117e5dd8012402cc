"""How the baselines are served: one uvicorn worker on uvloop and httptools, nothing logged, no telemetry."""

import uvicorn
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

TELEMETRY_OFF: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def serve(app: FastAPI, port: int) -> None:
    """Serve on loopback until terminated."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )
