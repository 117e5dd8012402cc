"""Names: the addresses of a host, asked of the system without anybody waiting longer than a deadline.

The event loop would ask in threads of its own, and join them when it ends, however long a name server is silent.
"""

import socket
from collections.abc import Sequence
from functools import partial

from gateway.s3.threads import Busy, Threads

AT_ONCE = 16  # names; the system asks a silent server for half a minute, whoever waits
ANSWER_WITHIN = 5.0  # seconds


class Names:
    """Asks the system's resolver."""

    def __init__(self, answer_within: float = ANSWER_WITHIN) -> None:
        """Start nothing yet."""
        self._threads = Threads(AT_ONCE, "names")
        self._answer_within = answer_within

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, in the order to try them; raises OSError, and UnicodeError for no name."""
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        try:
            found = await self._threads.run(ask, self._answer_within)
        except Busy:
            raise TimeoutError("too many names at once") from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Let threads go."""
        self._threads.close()
