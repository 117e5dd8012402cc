"""The Ceph of the tests stops whole, and by itself."""

from pathlib import Path

import httpx

from tests.servers import ceph as ceph_server
from tests.servers.s3 import S3Server


def processes_of(folder: Path) -> list[str]:
    """Return the command lines that name a folder."""
    named = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if str(folder) in command:
            named.append(command.split()[0])
    return sorted(named)


def answers(server: S3Server) -> bool:
    try:
        return httpx.get(server.endpoint).status_code == 200
    except httpx.ConnectError:
        return False


def test_one_ceph_ends_with_all_its_daemons_and_leaves_another_alone(ceph: S3Server, tmp_path: Path) -> None:
    with ceph_server.running(tmp_path) as other:
        commands = processes_of(tmp_path)
        assert {name for name in commands if "python" not in name} == {"ceph-mon", "ceph-osd", "radosgw"}
        assert answers(other)
    assert processes_of(tmp_path) == []
    assert (answers(other), answers(ceph)) == (False, True)
