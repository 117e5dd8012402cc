"""What each S3 server is known not to enforce, though AWS does: `test_known.py` proves every row in both directions.

A test of the gateway that needs the bucket to refuse something asks `enforces(server, feature)` for what to expect.
"""

from collections.abc import Mapping
from typing import Final

from tests.servers.s3 import S3Server

MOTO: Final = frozenset({"moto"})
MOTO_AND_CEPH: Final = frozenset({"moto", "ceph"})
NOT_MINISTACK: Final = frozenset({"moto", "localstack"})
ONLY_MINISTACK: Final = frozenset({"moto", "localstack", "ceph"})
ALL: Final = frozenset({"moto", "ministack", "localstack", "ceph"})

NOT_ENFORCED: Final[Mapping[str, frozenset[str]]] = {
    # presigned requests
    "signature": MOTO,
    "expiry": MOTO,
    "date not in the future": ONLY_MINISTACK,
    "at most seven days": NOT_MINISTACK,
    "region": ONLY_MINISTACK,
    "session token": NOT_MINISTACK,
    "signature version 4": ALL,
    # the headers that a ticket signs
    "content-length": MOTO,
    "content-type": MOTO,
    "if-none-match is sent": MOTO,
    "if-none-match": frozenset(),
    "checksum": MOTO_AND_CEPH,
    "content-md5": MOTO,  # of Active Storage
    "metadata": MOTO,
    "no unsigned metadata": frozenset({"moto", "ministack", "ceph"}),
    "no unsigned copy source": frozenset({"moto", "ministack", "ceph"}),
    "metadata of 2 KB": ALL,
    # the form that a single upload of Uppy posts
    "form": MOTO,
    "expiry of a form": MOTO,
    "signature of a form": NOT_MINISTACK,
    "no field beside a form's": NOT_MINISTACK,
    # parts of a multipart upload
    "signature of a part": MOTO,
    "number of a part": MOTO,
    "content-length of a part": MOTO,
    "checksum of a part": MOTO_AND_CEPH,
    "a checksum with every part": frozenset({"moto", "ministack", "ceph"}),
    "no checksum where none was settled": ALL,
    "part number of 10,000": frozenset({"ceph"}),
    "part of a gone upload": MOTO,
    # what the gateway does with them
    "upload id of another key": MOTO,
    "part of 5 MiB": frozenset({"ministack"}),
    "part order": frozenset({"moto", "ministack", "ceph"}),
    "complete if-none-match": frozenset({"ceph"}),
    "completion of a gone upload": MOTO_AND_CEPH,
    "size of what is completed": MOTO_AND_CEPH,
    "part copy if-match": MOTO_AND_CEPH,
    "part copy of a gone upload": MOTO,
    "pages of unfinished uploads": MOTO,
    "when an upload was begun": MOTO,
    # the calls of the gateway itself
    "copy if-match": MOTO_AND_CEPH,
    "copy if-none-match": ALL,
    "no write without credentials": NOT_MINISTACK,
    "user policy": NOT_MINISTACK,
    # what browsers may do
    "cors": frozenset(),
}


# Of the servers that have queues: `test_queues.py` proves every row.
NOT_ENFORCED_OF_QUEUES: Final[Mapping[str, frozenset[str]]] = {
    "who may send to a queue": frozenset({"localstack"}),
    "who may take from a queue": frozenset({"localstack"}),
    "sequencers tell the order of events": frozenset({"localstack"}),
    "most deliveries": frozenset(),
}


def enforces(server: S3Server, feature: str) -> bool:
    """Whether `server` does as AWS does; KeyError for a feature that no row is about."""
    return server.name not in {**NOT_ENFORCED, **NOT_ENFORCED_OF_QUEUES}[feature]
