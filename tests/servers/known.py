"""What each S3 server is known not to enforce, though AWS does: `test_known.py` proves every row in both directions.

A test of the gateway that needs the bucket to refuse something asks `enforces(server, feature)` for what to expect.
"""

from collections.abc import Mapping
from typing import Final

from tests.servers.s3 import S3Server

MOTO: Final = frozenset({"moto"})
NOT_MINISTACK: Final = frozenset({"moto", "localstack"})
ALL: Final = frozenset({"moto", "ministack", "localstack"})

NOT_ENFORCED: Final[Mapping[str, frozenset[str]]] = {
    # presigned requests
    "signature": MOTO,
    "expiry": MOTO,
    "date not in the future": NOT_MINISTACK,
    "at most seven days": NOT_MINISTACK,
    "region": NOT_MINISTACK,
    "session token": NOT_MINISTACK,
    "signature version 4": ALL,
    # the headers that a ticket signs
    "content-length": MOTO,
    "content-type": MOTO,
    "if-none-match is sent": MOTO,
    "if-none-match": frozenset(),
    "checksum": MOTO,
    "metadata": MOTO,
    "no unsigned metadata": frozenset({"moto", "ministack"}),
    "metadata of 2 KB": ALL,
    # the calls of the gateway itself
    "copy if-match": MOTO,
    "copy if-none-match": ALL,
    "no write without credentials": NOT_MINISTACK,
    "user policy": NOT_MINISTACK,
    # what browsers may do
    "cors": frozenset(),
}


def enforces(server: S3Server, feature: str) -> bool:
    """Whether `server` refuses what AWS refuses; KeyError for a feature that no row is about."""
    return server.name not in NOT_ENFORCED[feature]
