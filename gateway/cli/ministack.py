"""MiniStack, the S3 server of `gateway dev` and the tests: it verifies signatures and enforces IAM; a child process.

Its state lives under the data folder and survives a SIGKILL, but IAM keys and the bucket's CORS it learnt since its
last clean stop do not: so bucket, queue, user and policies are applied again at each start, with a fresh access key.
"""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gateway.cli.child import POLL, Child, StartError, spawn
from gateway.cli.environments import environment
from gateway.cli.provision import (
    AccessKey,
    iam_client,
    make_bucket,
    make_queue,
    make_user,
    s3_client,
    sqs_client,
)

LOCK = Path(__file__).with_name("ministack.lock")
SERVICES = "s3,iam,sts,sqs,sns,cloudformation"
READY_WITHIN = 30.0  # seconds; 0.6 s is usual
FREE_WITHIN = 20.0  # seconds that a predecessor whose starter is gone may take to save its state
STOPPED_WITHIN = 2.0  # seconds that one may take whose starter is there: mostly, it has no mind to stop


@dataclass(frozen=True, slots=True)
class Server:
    """A running MiniStack with a bucket for the gateway, and the URL of the `queue` that hears of its uploads.

    `gateway` may do what the API and the worker need, `admin` anything.
    """

    endpoint: str
    region: str
    bucket: str
    queue: str
    gateway: AccessKey
    admin: AccessKey
    child: Child = field(repr=False)

    def stop(self) -> None:
        """Let MiniStack save its state and end."""
        self.child.stop()


def start(  # noqa: PLR0913 - each has its own default
    data_dir: Path,
    *,
    origins: Sequence[str],
    port: int = 0,
    bucket: str = "gateway-dev",
    region: str = "us-east-1",
    require_tls: bool = False,
    venv: Path | None = None,
) -> Server:
    """Start MiniStack on loopback (`port` 0: any free one), its state in `data_dir`; make `bucket` ready for `origins`.

    `venv` is the environment it is installed in, `<data_dir>/ministack-venv` unless given. Raises StartError.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    python = environment(venv or data_dir / "ministack-venv", LOCK)
    admin = _admin_key(data_dir / "ministack-root.json")
    with _only_server_of(data_dir) as claim:
        number = _free_port(port)  # a predecessor has let go of it
        child = spawn(
            [str(python), "-P", "-m", "ministack"],
            env=_environ(data_dir, number, region, admin),
            log=data_dir / "ministack.log",
            pass_fds=[claim.fileno()],
        )
    endpoint = f"http://127.0.0.1:{number}"
    try:
        child.wait_for(f"{endpoint}/_ministack/ready", READY_WITHIN)
        s3 = s3_client(endpoint, region, admin)
        make_bucket(s3, bucket, origins, require_tls=require_tls)
        queue = make_queue(sqs_client(endpoint, region, admin), s3, bucket)
        gateway = make_user(iam_client(endpoint, region, admin), bucket, queue.arn)
    except BaseException:
        child.stop()
        raise
    return Server(endpoint, region, bucket, queue.url, gateway, admin, child)


def _environ(data_dir: Path, port: int, region: str, admin: AccessKey) -> dict[str, str]:
    state = data_dir / "ministack"
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.defpath,
        "TMPDIR": str(state / "tmp"),
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": region,
        "SERVICES": SERVICES,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "AWS_ACCESS_KEY_ID": admin.access_key_id,
        "AWS_SECRET_ACCESS_KEY": admin.secret_access_key,
    }


def _admin_key(path: Path) -> AccessKey:
    """Read the root key of this data folder, or make one, for the owner's eyes only."""
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        made = {"access_key_id": f"AKIA{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_urlsafe(30)}
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - the mode must be set at birth
            json.dump(made, file)
        draft.rename(path)
    return AccessKey(**json.loads(path.read_text("ascii")))


def _free_port(port: int) -> int:
    """Answer `port` if nobody listens on it (0: any free one), else StartError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartError(f"port {port} is not free: choose another with --s3-port") from error
        return int(probe.getsockname()[1])


def _only_server_of(data_dir: Path) -> IO[str]:
    """Claim `data_dir` for one server: the claim is held by whoever keeps the file open, the child included."""
    claim = (data_dir / "ministack.claim").open("a+")  # holds the starter's process id
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - began > (STOPPED_WITHIN if _is_alive(claim) else FREE_WITHIN):
                break
            time.sleep(POLL)
        else:
            claim.truncate(0)
            print(os.getpid(), file=claim, flush=True)
            return claim
    claim.close()
    raise StartError(f"another server uses {data_dir}: stop it, or choose another folder with --data-dir")


def _is_alive(claim: IO[str]) -> bool:
    claim.seek(0)
    try:
        os.kill(int(claim.read()), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):  # another user's; not written yet
        pass
    return True
