"""Sockets bound before anything else starts: what is in the way is told with the flag that helps."""

import socket
import stat
from pathlib import Path

import pytest

from gateway.cli.listening import listen, listen_unix
from gateway.cli.output import Failure


def test_a_free_port_and_a_named_host_are_listened_on() -> None:
    with listen("localhost", 0) as bound, socket.create_connection(bound.getsockname()[:2]) as client:
        assert client.getpeername() == bound.getsockname()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])  # RFC 5737: no machine's
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(Failure, match=f"^{host} is not an address of this machine: choose another with --host$"):
        listen(host, 0)


def test_a_taken_port_is_told() -> None:
    with listen("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"^port {port} is not free: choose another with --port$"):
            listen("127.0.0.1", port)


def test_a_socket_file_is_open_to_all_users_whom_its_folder_lets_in(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with listen_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_socket_file_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    listen_unix(path).close()
    with listen_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_file_in_use_and_any_other_file_are_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "gateway.sock", tmp_path / "notes.txt"
    file.write_text("mine")
    with listen_unix(path):
        for taken in (path, file):
            with pytest.raises(Failure, match=f"^{taken} is in use: choose another file with --uds$"):
                listen_unix(taken)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert file.read_text() == "mine"


def test_a_socket_file_in_no_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "no" / "gateway.sock"
    with pytest.raises(Failure, match=f"^{path} cannot be made: choose another file with --uds$"):
        listen_unix(path)
