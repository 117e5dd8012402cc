"""Signing all parts of one upload: ours against boto3 in a loop, and the memory that ours takes by itself."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from gateway.s3.parts import MAX_PARTS
from tests.bench import part_urls, place
from tests.bench.figures import Figure, Series
from tests.bench.presign import boto3_client, comparable, cpu_microseconds, ratios

BOTO3_CALLS = 200  # in a round: some 50 ms


def measure(rounds: int, processes: int) -> tuple[list[Series], list[Figure]]:
    """Measure both in turn, `rounds` times, and the memory of so many processes."""
    theirs = _boto3_run()
    _check_that_both_sign_the_same(theirs)
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "sign 10,000 parts": (part_urls.sign, MAX_PARTS),
        "boto3 part": (partial(_repeat, theirs), BOTO3_CALLS),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(-1, rounds):  # the first one warms up
        for name, (run, calls) in runs.items():
            microseconds = cpu_microseconds(run) / calls
            if round_number >= 0:
                taken[name].append(microseconds)
    series = [Series(name, times, [1e6 / one for one in times]) for name, times in taken.items()]
    faster = ratios(taken["boto3 part"], taken["sign 10,000 parts"])
    return series, [
        Figure("sign_parts_x_boto3", faster, at_least=30),
        Figure("sign_parts_mib", [_mib() for _ in range(processes)], at_most=100),
    ]


def _boto3_run() -> Callable[[int], str]:
    client = boto3_client()

    def sign(number: int) -> str:
        parameters = {
            "Bucket": place.BUCKET,
            "Key": part_urls.TICKET.grant.key.upload_key,
            "UploadId": part_urls.UPLOAD_ID,
            "PartNumber": number,
            "ContentLength": part_urls.TICKET.part_size(number, None),
        }
        return client.generate_presigned_url("upload_part", Params=parameters, ExpiresIn=part_urls.EXPIRES_IN)

    return sign


def _repeat(sign: Callable[[int], str]) -> list[str]:
    return [sign(number) for number in range(1, BOTO3_CALLS + 1)]


def _check_that_both_sign_the_same(sign: Callable[[int], str]) -> None:
    """Raise unless boto3 signs the same parts: all but the date, and so the signature, has to be equal."""
    parts = part_urls.sign()
    for number in (1, MAX_PARTS):
        ours, theirs = comparable(parts[number - 1].url), comparable(sign(number))
        if ours != theirs:
            raise RuntimeError(f"not the same request:\n{ours}\n{theirs}")


def _mib() -> float:
    command = [sys.executable, "-m", "tests.bench.part_urls"]
    done = subprocess.run(command, cwd=place.ROOT, capture_output=True, text=True, check=True, timeout=60)
    different, mib = done.stdout.split()
    if int(different) != MAX_PARTS:
        raise RuntimeError(f"signed {different} different URLs instead of {MAX_PARTS}")
    return float(mib)
