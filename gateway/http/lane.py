"""The lane of the busiest routes: found by one look-up, run without the stacks that FastAPI keeps for others.

Starlette matches routes one after the other and wraps each call in exit stacks and exception handlers, which costs more
than making a ticket. The lane serves routes of the application, not copies: the document and the answers are the same.
"""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Lane:
    """Runs the routes named at once, and leaves every other request to the application."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], paths: Iterable[str]) -> None:
        """Take from `routes` those at `paths` that have no parameter."""
        self._app = app
        wanted = set(paths)
        self._routes = {
            (method, route.path): route.app
            for route in routes
            if isinstance(route, Route) and route.path in wanted
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        app = None
        if scope["type"] == "http" and not scope.get("root_path"):
            app = self._routes.get((scope["method"], scope["path"]))
        if app is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = {}
        await app(scope, receive, send)
