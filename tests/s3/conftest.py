"""Every storage there is for the tests of the contract: the one in memory, and one over each server."""

import secrets
from collections.abc import Iterator

import pytest

from tests.s3.subjects import NEEDS, Subject, in_memory, on_server, opened, place_of
from tests.servers.known import NOT_ENFORCED
from tests.servers.s3 import S3Server


@pytest.fixture(params=["memory", "moto", "ministack", "localstack"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    feature = NEEDS.get(request.node.originalname)
    if feature is not None and request.param in NOT_ENFORCED[feature]:
        request.applymarker(pytest.mark.xfail(reason=feature, strict=True))
    root = f"objects/contract/{secrets.token_hex(8)}/"
    if request.param == "memory":
        yield in_memory(root)
        return
    server: S3Server = request.getfixturevalue(request.param)
    with opened(server, place_of(server)) as storage:
        yield on_server(server, storage, root)


@pytest.fixture(params=["moto", "ministack", "localstack"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found
