"""The lane: finds a route by its first segment and runs it without the stacks that FastAPI keeps around others.

Starlette asks routes one after the other and wraps each call in exit stacks and exception handlers, which together cost
more than making a ticket. The lane runs the gateway's own routes, not copies: document and answers are the same. What
it does not find (a wrong path or method, a route that somebody added) it leaves to the application.
"""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.route import GatewayRoute


class Lane:
    """Runs the routes it was given, and leaves every other request to the application behind it."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        """Index the routes: those without a parameter by method and path, the others by method and first segment."""
        self._app = app
        self._whole: dict[tuple[str, str], ASGIApp] = {}
        self._by_segment: dict[tuple[str, str], list[Route]] = {}
        for route in routes:
            if not isinstance(route, GatewayRoute) and type(route) is not Route:
                continue  # FastAPI's own cannot run without the stacks
            for method in route.methods or ():
                if route.param_convertors:
                    self._by_segment.setdefault((method, _first_segment(route.path)), []).append(route)
                else:
                    self._whole.setdefault((method, route.path), route.app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        app = self._find(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        await (app or self._app)(scope, receive, send)

    def _find(self, scope: Scope) -> ASGIApp | None:
        method, path = scope["method"], scope["path"]
        app = self._whole.get((method, path))
        if app is not None:
            scope["path_params"] = {}
            return app
        for route in self._by_segment.get((method, _first_segment(path)), ()):
            match = route.path_regex.match(path)
            if match is not None:
                scope["path_params"] = {
                    name: route.param_convertors[name].convert(value) for name, value in match.groupdict().items()
                }
                return route.app
        return None


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
