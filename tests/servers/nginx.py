"""nginx with a configuration of the test's, everything under one folder, and a certificate that it signed itself."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from gateway.cli.child import POLL, StartError, spawn

INFRA = Path(__file__).parents[2] / "infra"
READY_WITHIN = 10.0  # seconds

# TLS before an S3 server: the Host header is signed, so it goes through untouched, as do sizes and bodies.
S3_FRONT: Final = """
error_log stderr crit;
pid ${folder}/nginx.pid;
daemon off;
events {}
http {
    access_log off;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${certificate};
        ssl_certificate_key ${key};
        client_max_body_size 0;
        location / {
            proxy_pass ${upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $$http_host;
            proxy_request_buffering off;
            proxy_buffering off;
        }
    }
}
"""


def s3_front(folder: Path, *, port: int, upstream: str, certificate: "Certificate") -> str:
    """Fill in `S3_FRONT`: TLS on `port` of 127.0.0.1 before `upstream`, such as `http://127.0.0.1:9000`."""
    values = {"folder": folder, "port": port, "upstream": upstream}
    return Template(S3_FRONT).substitute(values, certificate=certificate.certificate, key=certificate.key)


@dataclass(frozen=True, slots=True)
class Front:
    """nginx before a gateway, as `infra/nginx.conf` sets it up."""

    url: str
    plain_url: str
    access_log: Path


@contextmanager
def gateway_front(folder: Path, gateway: str, certificate: "Certificate") -> Iterator[Front]:
    """Run `infra/nginx.conf` in `folder` before `gateway`, an address such as `127.0.0.1:8000`."""
    tls, plain = free_port(), free_port()
    collect = [sys.executable, str(INFRA / "collect.py"), str(folder / "site")]
    subprocess.run(collect, check=True)
    values = {
        "GATEWAY": gateway,
        "SERVER_NAME": "localhost 127.0.0.1",
        "LISTEN": f"127.0.0.1:{plain}",
        "LISTEN_TLS": f"127.0.0.1:{tls}",
        "PUBLIC_PORT": f":{tls}",
        "CERTIFICATE": str(certificate.certificate),
        "CERTIFICATE_KEY": str(certificate.key),
        "SITE_DIR": str(folder / "site"),
        "RUN_DIR": str(folder),
        "ACCESS_LOG": str(folder / "access.log"),
    }
    with running(folder, filled((INFRA / "nginx.conf").read_text("utf-8"), values), tls, plain):
        yield Front(f"https://localhost:{tls}", f"http://localhost:{plain}", folder / "access.log")


class Certificate:
    """A key and a certificate for 127.0.0.1 and localhost, signed by itself, valid for two days."""

    def __init__(self, folder: Path) -> None:
        """Make both with openssl in `folder`."""
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        names = "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", names]
        command += ["-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)

    def context(self) -> ssl.SSLContext:
        """Trust exactly this certificate, as a client."""
        return ssl.create_default_context(cafile=str(self.certificate))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace each `${NAME}` that `values` names, as nginx's container image does, and leave nginx's own `$names`."""
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def free_port() -> int:
    """Answer a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, config: str, *ports: int) -> Iterator[None]:
    """Run nginx in `folder` with `config`, which says `daemon off`; all of `ports` answer when the block begins."""
    (folder / "nginx.conf").write_text(config, "utf-8")
    command = [_nginx(), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    if os.geteuid() == 0:  # its workers must be able to read what the tests wrote
        command += ["-g", "user root;"]
    child = spawn(command, env=os.environ, log=folder / "nginx.log")
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not all(_listens(port) for port in ports):
            if child.process.poll() is not None or time.monotonic() > deadline:
                raise StartError((folder / "nginx.log").read_text("utf-8"))
            time.sleep(POLL)
        yield
    finally:
        child.stop()


def _nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise StartError("nginx is not installed: apt-get install nginx-light")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
