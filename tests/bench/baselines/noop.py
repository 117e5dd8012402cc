"""The no-op: FastAPI that takes the gateway's bodies, answers with its models, and decides and signs nothing."""

import sys

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from tests.bench.baselines.models import Ticket, Upload, UploadRequest
from tests.bench.baselines.serving import TELEMETRY_OFF, serve

app = FastAPI(telemetry=TELEMETRY_OFF)

TOKEN = "t" * 251  # as long as the gateway's own, so that the answers are
SIGNED = (
    "https://bench.s3.eu-central-1.amazonaws.com/incoming/acme/img/0123456789abcdef0123456789abcdef.png"
    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261121%2Feu-central-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261121T020000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost"
    "%3Bif-none-match%3Bx-amz-meta-grant&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
URL = f"http://127.0.0.1:8000/v1/uploads/{TOKEN}"
TICKET = Ticket(
    ticket=TOKEN,
    key="objects/acme/img/0123456789abcdef0123456789abcdef.png",
    upload_key="incoming/acme/img/0123456789abcdef0123456789abcdef.png",
    expires_at="2026-11-21T03:00:00Z",
    server_time="2026-11-21T02:00:00Z",
    upload=Upload(
        method="PUT",
        url=SIGNED,
        headers={"content-type": "image/png", "if-none-match": "*", "x-amz-meta-grant": TOKEN},
        expires_at="2026-11-21T02:15:00Z",
    ),
    multipart=None,
    status_url=URL,
    complete_url=f"{URL}/complete",
    abort_url=URL,
)


@app.post("/v1/uploads", status_code=201)
async def create_upload(wanted: UploadRequest) -> Ticket:  # noqa: ARG001 - it is validated, and that is all
    """Answer the same ticket to everyone."""
    return TICKET


@app.get("/d/{token}/{filename}", status_code=307)
async def follow_link(token: str, filename: str) -> RedirectResponse:  # noqa: ARG001 - it is parsed, and that is all
    """Redirect everyone to the same place."""
    return RedirectResponse(SIGNED)


if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
