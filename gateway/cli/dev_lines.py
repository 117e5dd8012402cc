"""What `gateway dev` prints while it runs: a line for each request, for what the worker did, and for each warning."""

import logging
import sys
import time
from collections.abc import Mapping

from gateway.cli.output import dim, say, warning
from gateway.errors import CODES

_UNPROCESSABLE = 422  # the status of refusals of the bytes themselves, and of nothing else that a worker meets
_QUIET = ("boto3", "botocore", "s3transfer", "urllib3", "httpx", "httpcore")


class _Warnings(logging.Handler):
    """Prints warnings and worse as the other lines are, each with its traceback, if it has one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one; a failure is told as logging does."""
        try:
            say(f"{_now()}  {warning(record.levelname.lower())}  {self.format(record)}", to_stderr=True)
        except Exception:  # noqa: BLE001 - what logging.Handler asks of its heirs
            self.handleError(record)


def say_warnings() -> None:
    """Print what is logged from now on, as other commands write it to their logs."""
    handler = _Warnings()
    handler.setFormatter(logging.Formatter("%(message)s"))  # in place of the one that names logger and level first
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    for name in _QUIET:  # whose lower levels print tokens, at whatever level they were left
        logging.getLogger(name).setLevel(logging.WARNING)


def say_request(line: Mapping[str, object]) -> None:
    """Print a request as it was answered; the path comes without tokens, and printable."""
    code = f"  {line['code']}" if "code" in line else ""
    _say(f"{line['status']}  {line['method']} {line['path']}  {line['ms']} ms{code}")
    if isinstance(bug := line.get("exc_info"), BaseException):
        sys.excepthook(type(bug), bug, bug.__traceback__)


def say_work(line: Mapping[str, object]) -> None:
    """Print what the worker found, concluded, announced, or has to try again; requests tell of all else."""
    if line["event"] == "webhook":
        why = f": {line['why']}" if "why" in line else ""
        _say(f"{line['result']}  {line['type']}  {line['id']}{why}")
    elif line["event"] == "scan":
        _say(f"scanned  {line['verdict']}  {line['ms']} ms")
    elif "again_in" in line:
        _say(f"{line['outcome']}  {_short(line)}, again in {line['again_in']} s")
    elif line["outcome"] == "stored":
        _say(f"stored  {_short(line)}  by the worker")
    elif (code := CODES.get(str(line["outcome"]))) and code.status == _UNPROCESSABLE:
        _say(f"rejected  {_short(line)}  by the worker: {code.code}")


def _short(line: Mapping[str, object]) -> str:
    """Return the policy and the beginning of the key's name: enough to tell uploads apart."""
    name, dot, extension = str(line.get("key", "")).rpartition("/")[2].rpartition(".")
    return f"{line.get('policy')}/{name[:8]}…{dot}{extension}"


def _say(text: str) -> None:
    say(dim(f"{_now()}  {text}"), to_stderr=True)


def _now() -> str:
    return time.strftime("%H:%M:%S")
