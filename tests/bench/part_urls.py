"""Ten thousand part URLs for one upload, as the gateway signs them; run by itself, it prints its peak of memory."""

import re
import sys
from pathlib import Path

from gateway.content.filenames import Filename
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.bucket import Bucket
from gateway.s3.endpoints import Endpoint
from gateway.s3.parts import MAX_PARTS, USUAL_PART
from gateway.s3.presigned import PresignedRequest
from gateway.s3.sigv4 import Credentials
from tests.bench import place

NOW = 1_795_226_400  # 2026-11-21T02:00:00Z
EXPIRES_IN = 900  # seconds
UPLOAD_ID = "ibZBv_75gd9r8lH_gqXatLdxMVpAlj6ZQjEs.OwyF3953YdwbcQnMA2BLGn8Lx12fQNICtMw5KyteFeHw.Sjng--"
_KEY = ObjectKey(place.TENANT, place.POLICY, "0123456789abcdef0123456789abcdef", "bin")
_GRANT = Grant(
    "alice",
    _KEY,
    "application/octet-stream",
    MAX_PARTS * USUAL_PART - 1,
    None,
    Filename("dump.tar"),
    {},
    NOW,
    NOW + 86_400,
)
TICKET = Ticket(_GRANT, Multipart(UPLOAD_ID, USUAL_PART))


def sign() -> list[PresignedRequest]:
    """Sign and keep every part of the largest upload in parts of the usual size."""
    bucket = Bucket(Endpoint("https", place.HOST, "/"), place.REGION)
    credentials = Credentials(place.ACCESS_KEY_ID, place.SECRET_ACCESS_KEY)
    signing = bucket.parts(TICKET, credentials, now=NOW, expires_in=EXPIRES_IN)
    return [signing.part(number, TICKET.part_size(number, None)) for number in range(1, MAX_PARTS + 1)]


def peak_mib() -> float:
    """Return the most memory that this process has held. getrusage would count what its parent held as well."""
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    return int(kib) / 1024


if __name__ == "__main__":
    kept = sign()
    sys.stdout.write(f"{len({part.url for part in kept})} {peak_mib():.1f}\n")
