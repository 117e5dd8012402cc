"""Presigning, in one process: ours against boto3, and against nothing but the two hashes of the very same bytes.

Every call signs another key (and filename, or length), so that no cache answers in the signer's place.
"""

import gc
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import boto3
from botocore.config import Config

from gateway.s3.sigv4 import Credentials, Signer, canonical_headers, canonical_request, encode_path, signing_key
from tests.bench import place
from tests.bench.figures import Figure, Series

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CALLS = 2_000  # of ours in a round, and of the hashes
BOTO3_CALLS = 200  # in a round: some 50 ms
NOW = 1_795_226_400  # 2026-11-21T02:00:00Z
OCTETS = "application/octet-stream"
GRANT = sha256(b"grant").hexdigest() * 5  # as long as a grant token: 320 characters

Run = Callable[[], object]
Pairs = Sequence[tuple[str, str]]
Call = tuple[str, str, Pairs, Pairs, int]  # method, key, query, headers, expires_in


def measure(rounds: int) -> tuple[list[Series], list[Figure]]:
    """Measure all contenders in turn, `rounds` times, with the garbage collector off."""
    runs = _runs()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(-1, rounds):  # the first one warms up
        for name, (run, calls) in runs.items():
            microseconds = cpu_microseconds(run) / calls
            if round_number >= 0:
                taken[name].append(microseconds)
    series = [Series(name, times, [1e6 / one for one in times]) for name, times in taken.items()]
    return series, [
        Figure("sign_get_x_floor", ratios(taken["sign GET"], taken["hashes of GET"]), at_most=2.6),
        Figure("sign_put_x_floor", ratios(taken["sign PUT"], taken["hashes of PUT"]), at_most=2.6),
        Figure("sign_get_x_boto3", ratios(taken["boto3 GET"], taken["sign GET"]), at_least=40),
        Figure("sign_put_x_boto3", ratios(taken["boto3 PUT"], taken["sign PUT"]), at_least=40),
    ]


def _runs() -> Mapping[str, tuple[Run, int]]:
    credentials = Credentials(place.ACCESS_KEY_ID, place.SECRET_ACCESS_KEY)
    signer = Signer(credentials, place.REGION, NOW)
    gets = [_get(number) for number in range(CALLS)]
    puts = [_put(number) for number in range(CALLS)]
    boto3_get, boto3_put = _boto3_runs()
    _check_that_both_sign_the_same(signer, gets[0], boto3_get)
    _check_that_both_sign_the_same(signer, puts[0], boto3_put)
    return {
        "hashes of GET": (partial(_hash, *_hashed(signer, gets)), CALLS),
        "sign GET": (partial(_sign, signer, gets), CALLS),
        "hashes of PUT": (partial(_hash, *_hashed(signer, puts)), CALLS),
        "sign PUT": (partial(_sign, signer, puts), CALLS),
        "boto3 GET": (partial(_repeat, boto3_get), BOTO3_CALLS),
        "boto3 PUT": (partial(_repeat, boto3_put), BOTO3_CALLS),
    }


def _get(number: int) -> Call:
    query = [
        ("response-content-disposition", f'attachment; filename="photo {number}.png"'),
        ("response-content-type", OCTETS),
    ]
    return "GET", place.object_key(number), query, [], 300


def _put(number: int) -> Call:
    headers = [
        ("content-length", str(100_000 + number)),
        ("content-type", "image/png"),
        ("if-none-match", "*"),
        ("x-amz-meta-grant", GRANT),
    ]
    return "PUT", place.object_key(number), [], headers, 900


def _sign(signer: Signer, calls: Sequence[Call]) -> None:
    for call in calls:
        _url(signer, *call)


def _url(signer: Signer, method: str, key: str, query: Pairs, headers: Pairs, expires_in: int) -> str:  # noqa: PLR0913, PLR0917 - a Call
    path = "/" + encode_path(key)
    return f"https://{place.HOST}{path}?{signer.presign(method, place.HOST, path, query, headers, expires_in)}"


def _hashed(signer: Signer, calls: Sequence[Call]) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Return the signing key, and the bytes that each call hashes and those that it authenticates."""
    hashed = []
    for method, key, query, headers, expires_in in calls:
        lines, names = canonical_headers(place.HOST, headers)
        canonical_query = signer.canonical_query(query, names, expires_in)
        request = canonical_request(method, "/" + encode_path(key), canonical_query, lines, names)
        hashed.append((request.encode(), signer.string_to_sign(request).encode()))
    return signing_key(place.SECRET_ACCESS_KEY, "20261121", place.REGION, "s3"), hashed


def _hash(key: bytes, hashed: Sequence[tuple[bytes, bytes]]) -> None:
    for request, string_to_sign in hashed:
        sha256(request).digest()
        hmac.digest(key, string_to_sign, "sha256")


def boto3_client() -> "S3Client":
    """Return the client that signs, as its users make it."""
    return boto3.client(
        "s3",
        region_name=place.REGION,
        aws_access_key_id=place.ACCESS_KEY_ID,
        aws_secret_access_key=place.SECRET_ACCESS_KEY,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )


def _boto3_runs() -> tuple[Callable[[int], str], Callable[[int], str]]:
    client = boto3_client()

    def get(number: int) -> str:
        _, key, query, _, expires_in = _get(number)
        parameters = {
            "Bucket": place.BUCKET,
            "Key": key,
            "ResponseContentDisposition": query[0][1],
            "ResponseContentType": query[1][1],
        }
        return client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_in)

    def put(number: int) -> str:
        _, key, _, headers, expires_in = _put(number)
        parameters = {
            "Bucket": place.BUCKET,
            "Key": key,
            "ContentLength": int(headers[0][1]),
            "ContentType": headers[1][1],
            "IfNoneMatch": headers[2][1],
            "Metadata": {"grant": headers[3][1]},
        }
        return client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=expires_in)

    return get, put


def _repeat(presign: Callable[[int], str]) -> None:
    for number in range(BOTO3_CALLS):
        presign(number)


def _check_that_both_sign_the_same(signer: Signer, call: Call, presign: Callable[[int], str]) -> None:
    """Raise unless boto3 signs the same request: all but the date, and so the signature, has to be equal."""
    ours, theirs = (comparable(url) for url in (_url(signer, *call), presign(0)))
    if ours != theirs:
        raise RuntimeError(f"not the same request:\n{ours}\n{theirs}")


def comparable(url: str) -> tuple[str, dict[str, str]]:
    """Return all that a presigned URL says but its date, and so its signature."""
    address, _, query = url.partition("?")
    dated = {"X-Amz-Date", "X-Amz-Credential", "X-Amz-Signature"}
    return address, {name: value for name, value in parse_qsl(query) if name not in dated}


def cpu_microseconds(run: Run) -> float:
    """Return microseconds of this thread's CPU, which other processes on the machine do not lengthen."""
    gc.collect()
    gc.disable()
    try:
        began = time.thread_time_ns()
        run()
        return (time.thread_time_ns() - began) / 1e3
    finally:
        gc.enable()


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return how many times as long the one took as the other, round by round."""
    return [one / other for one, other in zip(above, below, strict=True)]
