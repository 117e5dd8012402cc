"""The gateway and its bucket, each behind a real nginx with TLS, as browsers meet them in production."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.gateways import make_app
from tests.http.live import Address, serving
from tests.servers.nginx import Certificate, free_port, gateway_front, running, s3_front
from tests.servers.s3 import S3Server


@dataclass(frozen=True, slots=True)
class Site:
    """`url` and `bucket` are the https origins; `gateway` is where nginx reaches the gateway."""

    url: str
    bucket: str
    gateway: Address


@contextmanager
def bucket_over_tls(folder: Path, server: S3Server, certificate: Certificate) -> Iterator[str]:
    """Put TLS before an S3 server; the Host header goes through, since it is signed."""
    port = free_port()
    config = s3_front(folder, port=port, upstream=server.endpoint, certificate=certificate)
    with running(folder, config, port):
        yield f"https://localhost:{port}"


@contextmanager
def site_over_tls(folder: Path, server: S3Server, certificate: Certificate) -> Iterator[Site]:
    """Run `infra/nginx.conf` before a gateway that meets the bucket over http, and its callers over TLS."""
    with ExitStack() as stack:
        for name in ("front", "bucket"):
            (folder / name).mkdir()
        bucket = stack.enter_context(bucket_over_tls(folder / "bucket", server, certificate))
        app = make_app(server, trusted_proxies=["127.0.0.1/32"], public_storage_endpoint=bucket)
        gateway = stack.enter_context(serving(app))
        address = f"{gateway[0]}:{gateway[1]}"
        front = stack.enter_context(gateway_front(folder / "front", address, certificate))
        yield Site(front.url, bucket, gateway)
