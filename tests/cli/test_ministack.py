"""The S3 server of `gateway dev`: it ends with its starter, however that ends, and nothing stored is lost."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from gateway.cli import ministack
from gateway.cli.child import StartError
from gateway.cli.ministack import Server
from gateway.cli.provision import s3_client, sqs_client
from gateway.s3 import documents
from gateway.worker.events import appeared
from tests.servers.ministack import VENV
from tests.servers.nginx import free_port

ORIGINS = ["http://127.0.0.1:8000"]
STARTER = """
import sys
from pathlib import Path
from gateway.cli import ministack
folder, venv, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
server = ministack.start(folder, origins=["http://127.0.0.1:8000"], venv=venv, port=port)
s3 = ministack.s3_client(server.endpoint, server.region, server.gateway)
s3.put_object(Bucket=server.bucket, Key="objects/t/p/a.txt", Body=b"kept")
print(server.child.process.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def started(folder: Path, *, port: int = 0, bucket: str = "gateway-dev", region: str = "us-east-1") -> Iterator[Server]:
    server = ministack.start(folder, origins=ORIGINS, port=port, bucket=bucket, region=region, venv=VENV)
    try:
        yield server
    finally:
        server.stop()


def read(server: Server) -> bytes:
    s3 = s3_client(server.endpoint, server.region, server.gateway)
    return s3.get_object(Bucket=server.bucket, Key="objects/t/p/a.txt")["Body"].read()


def session_of(leader: int) -> set[int]:
    """Return the processes of a session that still run."""
    running = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                running.add(int(process.name))
    return running


def wait_until_gone(leader: int) -> None:
    deadline = time.monotonic() + 15
    while session_of(leader):
        assert time.monotonic() < deadline, "the server outlived its starter"
        time.sleep(0.05)


@contextmanager
def starter(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Give a process that started a server and stored an object, and the leader of the server's session."""
    command = [sys.executable, "-c", STARTER, str(folder), str(VENV), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_nothing_outlives_a_starter_that_is_killed_and_nothing_stored_is_lost(tmp_path: Path) -> None:
    with starter(tmp_path) as (process, leader):
        assert len(session_of(leader)) == 2
        process.kill()
        process.wait()
        with started(tmp_path) as server:  # at once, while its predecessor may still be saving
            assert read(server) == b"kept"
            cors = s3_client(server.endpoint, server.region, server.admin).get_bucket_cors(Bucket=server.bucket)
            assert cors["CORSRules"] == documents.cors(ORIGINS)["CORSRules"]
    wait_until_gone(leader)


def test_objects_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    with starter(tmp_path) as (_, leader):
        for process in session_of(leader):
            os.kill(process, signal.SIGKILL)
        wait_until_gone(leader)
        with started(tmp_path) as server:
            assert read(server) == b"kept"


def test_a_killed_lifeline_takes_the_server_with_it(tmp_path: Path) -> None:
    with starter(tmp_path) as (_, leader):
        os.kill(leader, signal.SIGKILL)
        wait_until_gone(leader)


def test_each_start_revokes_the_access_key_of_the_last(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        pass
    with started(tmp_path) as second:
        assert second.gateway != first.gateway
        assert second.admin == first.admin
        old = s3_client(second.endpoint, second.region, first.gateway)
        with pytest.raises(ClientError) as refused:
            old.list_objects_v2(Bucket=second.bucket)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_only_the_owner_can_read_the_root_key(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        path = tmp_path / "ministack-root.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text("ascii"))["access_key_id"] == server.admin.access_key_id
        assert server.admin.secret_access_key not in repr(server)
        assert server.gateway.secret_access_key not in repr(server)


def test_it_listens_on_the_port_that_it_is_given(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, port=port) as server:
        assert server.endpoint == f"http://127.0.0.1:{port}"
        with pytest.raises(StartError, match=f"^port {port} is not free: choose another with --s3-port$"):
            ministack.start(tmp_path / "other", origins=ORIGINS, port=port, venv=VENV)


def test_it_makes_the_bucket_in_the_region_that_it_is_given(tmp_path: Path) -> None:
    with started(tmp_path, bucket="elsewhere", region="eu-west-3") as server:
        s3 = s3_client(server.endpoint, "eu-west-3", server.gateway)
        assert s3.head_bucket(Bucket="elsewhere")["BucketRegion"] == "eu-west-3"


def test_a_start_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="InvalidBucketName"):
        ministack.start(tmp_path, origins=ORIGINS, bucket="No_Bucket", venv=VENV)
    with started(tmp_path):
        pass


def test_a_folder_belongs_to_one_server_at_a_time_and_who_comes_second_is_told_soon(tmp_path: Path) -> None:
    with started(tmp_path):
        began = time.monotonic()
        with pytest.raises(StartError, match="another server uses"):
            ministack.start(tmp_path, origins=ORIGINS, venv=VENV)
        assert time.monotonic() - began < 5


def test_a_server_whose_starter_was_killed_gives_its_port_to_the_next(tmp_path: Path) -> None:
    port = free_port()
    with starter(tmp_path, port) as (process, _):
        process.kill()
        process.wait()
        with started(tmp_path, port=port) as server:
            assert read(server) == b"kept"


def test_events_that_nobody_took_outlive_a_server_that_is_stopped(tmp_path: Path) -> None:
    port = free_port()  # the same again: MiniStack knows its queues by their URLs
    with started(tmp_path, port=port) as server:
        s3 = s3_client(server.endpoint, server.region, server.gateway)
        s3.put_object(Bucket=server.bucket, Key="incoming/t/p/a.txt", Body=b"kept")
    with started(tmp_path, port=port) as again:
        assert again.queue == server.queue == f"http://127.0.0.1:{port}/000000000000/gateway-events"
        sqs = sqs_client(again.endpoint, again.region, again.gateway)
        messages = sqs.receive_message(QueueUrl=again.queue, WaitTimeSeconds=10, MaxNumberOfMessages=10)["Messages"]
        assert [event.key for message in messages for event in appeared(message["Body"])] == ["incoming/t/p/a.txt"]
