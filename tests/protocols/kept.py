"""Gateways that are made once for a test module: to make boto3's client takes longer than most tests."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from tests.gateways import make_app
from tests.http.routes.conftest import AppOver
from tests.http.routes.flow import NOW, NOWHERE
from tests.servers.s3 import S3Server


@contextmanager
def apps(tenants: Mapping[str, Any]) -> Iterator[AppOver]:
    """Give the one gateway over a server; over none, its time stands still."""
    made: dict[str, FastAPI] = {}

    def find(server: S3Server) -> FastAPI:
        if server.name not in made:
            more: dict[str, Callable[[], float]] = {"clock": lambda: NOW} if server is NOWHERE else {}
            made[server.name] = make_app(server, **more, tenants=tenants)
        return made[server.name]

    yield find
    for app in made.values():
        asyncio.run(app.state.gateway.close())
