"""The boto3 clients of the bucket: where they call, how long they wait, and what botocore must not do by itself."""

import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bucket is. Without an endpoint it is AWS's own of the region; `owner` is a 12-digit account id."""

    bucket: str
    region: str
    endpoint: str | None = None
    address_style: Literal["auto", "path", "virtual"] = "auto"
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, in seconds, and how often it is tried in all; `threads` calls run at once.

    A copy takes as long as the store needs to move 5 GiB, and so does joining 10,000 parts: these calls have their own
    numbers, and as many threads of their own.
    """

    threads: int = 16
    deadline: float = 10.0
    connect: float = 2.0
    read: float = 3.0
    copy_deadline: float = 300.0
    copy_read: float = 60.0
    attempts: int = 3


class Clients:
    """The clients of one bucket, made when first asked for: that takes time, and may ask for credentials."""

    def __init__(self, session: boto3.Session, place: Place, patience: Patience) -> None:
        """Make nothing yet."""
        self.patience = patience
        self._session = session
        self._place = place
        self._making = threading.Lock()
        self._made: dict[float, S3Client] = {}

    def usual(self) -> "S3Client":
        """Return the client of calls that are answered at once."""
        return self._client(self.patience)

    def patient(self) -> "S3Client":
        """Return the client of calls during which the store moves bytes."""
        return self._client(replace(self.patience, read=self.patience.copy_read))

    def close(self) -> None:
        """Let connections go."""
        for client in self._made.values():
            client.close()

    def _client(self, patience: Patience) -> "S3Client":
        with self._making:
            if patience.read not in self._made:
                self._made[patience.read] = make_client(self._session, self._place, patience)
            return self._made[patience.read]


def make_client(session: boto3.Session, place: Place, patience: Patience) -> "S3Client":
    """Return a client that signs as we do, goes nowhere but to `place`, and gives up in time."""
    config = Config(  # type: ignore[call-arg]  # the stubs do not know ignore_configured_endpoint_urls yet
        signature_version="s3v4",
        s3={"addressing_style": place.address_style, "us_east_1_regional_endpoint": "regional"},
        retries={"total_max_attempts": patience.attempts, "mode": "standard"},  # max_attempts=3 would mean four
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        max_pool_connections=patience.threads,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL would part our calls from the URLs we sign
        proxies={},
    )
    client: S3Client = session.client("s3", region_name=place.region, endpoint_url=place.endpoint, config=config)
    client.meta.events.register_last("before-parameter-build.s3", _stay_in_region)
    if place.owner is not None:
        expect = partial(_expect_owner, place.owner)
        client.meta.events.register("provide-client-params.s3", expect)  # type: ignore[arg-type]  # its answer counts
    return client


def _stay_in_region(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from following a redirect to another region.

    What we presign could not follow it, and a store that redirects without end made botocore call itself 84 times deep.
    """
    context.get("s3_redirect", {})["redirected"] = True


def _expect_owner(owner: str, params: dict[str, Any], model: Any, **_: object) -> dict[str, Any]:  # noqa: ANN401 - botocore's own
    """Name the account that must own the bucket, so that a name somebody else took over is refused."""
    source = {"ExpectedSourceBucketOwner": owner} if model.name in {"CopyObject", "UploadPartCopy"} else {}
    return {**params, "ExpectedBucketOwner": owner, **source}
