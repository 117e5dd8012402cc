"""moto in a thread of the test process: it keeps state well and verifies nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.cli.provision import AccessKey, iam_client, make_bucket, make_user, s3_client
from tests.servers.s3 import ORIGINS, REGION, S3Server

ADMIN = AccessKey("AKIAMOTOADMIN0000000", "moto-verifies-nothing")


@contextmanager
def running() -> Iterator[S3Server]:
    """Run it on a free port, with the bucket's own CORS instead of one for every origin."""
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - it reads the variable while it is imported

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        s3 = s3_client(endpoint, REGION, ADMIN)
        make_bucket(s3, "gateway-test", ORIGINS)
        s3.delete_bucket_policy(Bucket="gateway-test")  # moto ignores conditions, so that a Deny with one denies all
        gateway = make_user(iam_client(endpoint, REGION, ADMIN), "gateway-test")
        yield S3Server(
            name="moto",
            endpoint=endpoint,
            region=REGION,
            bucket="gateway-test",
            access_key_id=gateway.access_key_id,
            secret_access_key=gateway.secret_access_key,
            admin=ADMIN,
        )
    finally:
        server.stop()
