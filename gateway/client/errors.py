"""What the client raises: one family of errors, which never tell a secret or an address."""

# What may pass by itself: RFC 9110 sections 15.5.9 and 15.6.3 to 15.6.5, RFC 6585 section 4.
PASSING = frozenset({408, 429, 502, 503, 504})


class GatewayError(Exception):
    """Anything that went wrong, by a `code` to program against and a `detail` for people.

    `status` is that of HTTP, 0 where nobody answered; `request_id` is what to quote to the gateway's operator;
    `retry_after` are the seconds that whoever answered asked to wait.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        status: int = 0,
        request_id: str | None = None,
        *,
        retry_after: float | None = None,
    ) -> None:
        """Keep what is told."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    def __repr__(self) -> str:
        """Say all of it."""
        return f"{type(self).__name__}({self.code!r}, {self.detail!r}, {self.status}, {self.request_id!r})"

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed later; `insecure-storage` waits for the operator."""
        return self.status in PASSING and self.code != "insecure-storage"


class RefusedError(GatewayError):
    """The gateway or the bucket answered no: the code is the gateway's own, or `storage-refused`."""


class UnreachableError(GatewayError):
    """Nobody answered in several attempts: `gateway-unreachable` or `storage-unreachable`."""

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed later: yes."""
        return True


class FileError(GatewayError):
    """The file here is the trouble.

    The codes: `file-unreadable`, `file-unwritable`, `file-changed`, `file-exists` and `damaged` for a download whose
    bytes are not those that were stored.
    """


def from_problem(problem: object, status: int, retry_after: float | None = None) -> RefusedError:
    """Read a problem document (RFC 9457), as far as it is one."""
    fields = problem if isinstance(problem, dict) else {}
    code, detail, request_id = (fields.get(name) for name in ("code", "detail", "request_id"))
    if not isinstance(code, str) or not isinstance(detail, str):
        code, detail = "unexpected", f"The gateway answered {status}, and did not say why."
    quoted = request_id if isinstance(request_id, str) else None
    return RefusedError(code, detail, status, quoted, retry_after=retry_after)


def unexpected() -> GatewayError:
    """Return the error for an answer that no gateway gives: somebody else is at that address."""
    return GatewayError("unexpected", "What answers at that address is no gateway.")
