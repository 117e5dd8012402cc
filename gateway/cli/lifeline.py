"""Run a command that ends when its starter ends, however that ends: `python lifeline.py COMMAND …`.

The line is standard input, whose other end the starter holds. When it closes, also by SIGKILL, the command gets SIGTERM
and, ten seconds later, SIGKILL. Should this process be killed, Linux kills the command (PR_SET_PDEATHSIG, prctl(2)).
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

PR_SET_PDEATHSIG = 1
GRACE = 10.0  # seconds


def main(command: list[str]) -> int:
    """Run `command` until it ends or the line closes; answer its exit code, or 128 and its signal."""
    # The main thread starts the command: PDEATHSIG follows the thread, and this one lives as long as the process.
    # The libc is loaded here, since little is safe between fork and exec.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    starter = os.getpid()

    def end_with_me() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != starter:
                os._exit(1)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, preexec_fn=end_with_me)  # noqa: PLW1509, S603 - one thread, and the starter's own command
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_end_with_the_line, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_the_line(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
