"""The socket a command listens on, bound before anything else starts, so that a taken port is told at once."""

import errno
import socket
import stat
from contextlib import suppress
from pathlib import Path

from gateway.cli.output import Failure

BACKLOG = 2048  # as uvicorn's own default


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket (`port` 0: any free one); raises Failure with the flag that helps."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise Failure(f"{host} is not an address of this machine: choose another with --host") from None
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)  # only now is a port that another one shares by SO_REUSEADDR refused
    except OSError as error:
        bound.close()
        raise Failure(_reason(error, host, port)) from None
    bound.set_inheritable(True)  # workers get it
    return bound


def listen_unix(path: Path) -> socket.socket:
    """Return a socket bound to a file, for all users, as its folder allows; raises Failure."""
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(0o666)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise Failure(f"{path} cannot be made: choose another file with --uds") from None
    bound.set_inheritable(True)
    return bound


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on any more."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if is_socket and probe.connect_ex(str(path)) == errno.ECONNREFUSED:
            with suppress(OSError):
                path.unlink()
            return
    raise Failure(f"{path} is in use: choose another file with --uds")


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is not free: choose another with --port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} is not for this user to take: choose another, above 1023, with --port"
    return f"{host} is not an address of this machine: choose another with --host"
