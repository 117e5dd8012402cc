"""Tickets and links as one writes them with FastAPI, boto3 and itsdangerous: one client, reused, and `Depends`.

The routes are `async def`, which is faster here than threads: nothing waits, signing is all computation.
"""

import hashlib
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import boto3
from botocore.config import Config
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.responses import RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import BadSignature, URLSafeTimedSerializer

from tests.bench.baselines.models import Linked, Links, LinksRequest, Ticket, Upload, UploadRequest
from tests.bench.baselines.serving import TELEMETRY_OFF, serve
from tests.bench.place import API_KEY, BUCKET, POLICY, REGION, SECRET, TENANT

PUT_SECONDS, TICKET_SECONDS, GET_SECONDS, LINK_SECONDS = 900, 3600, 300, 86_400
MAX_SIZE = 100 * 1024 * 1024
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "application/pdf": "pdf"}
CALLERS = {hashlib.sha256(API_KEY.encode()).hexdigest(): TENANT}

app = FastAPI(telemetry=TELEMETRY_OFF)
s3 = boto3.client("s3", region_name=REGION, config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
tickets = URLSafeTimedSerializer(SECRET, salt="ticket")
links = URLSafeTimedSerializer(SECRET, salt="link")


async def authenticated(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    """Return the caller's tenant."""
    digest = hashlib.sha256(bearer.credentials.encode()).hexdigest()
    for known, tenant in CALLERS.items():
        if secrets.compare_digest(known, digest):
            return tenant
    raise HTTPException(status.HTTP_401_UNAUTHORIZED)


Caller = Annotated[str, Depends(authenticated)]


@app.post("/v1/uploads", status_code=201)
async def create_upload(caller: Caller, wanted: UploadRequest, request: Request) -> Ticket:
    """Check the wish, seal a ticket and presign the PUT."""
    extension = EXTENSIONS.get(wanted.content_type)
    if wanted.policy != POLICY or extension is None or wanted.size is None or wanted.size > MAX_SIZE:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT)
    name = f"{caller}/{POLICY}/{secrets.token_hex(16)}.{extension}"
    token = tickets.dumps(
        {
            "key": name,
            "size": wanted.size,
            "type": wanted.content_type,
            "filename": wanted.filename,
            "metadata": wanted.metadata,
        }
    )
    now = datetime.now(UTC)
    url = f"{request.base_url}v1/uploads/{token}"
    return Ticket(
        ticket=token,
        key=f"objects/{name}",
        upload_key=f"incoming/{name}",
        expires_at=(now + timedelta(seconds=TICKET_SECONDS)).isoformat(timespec="seconds"),
        server_time=now.isoformat(timespec="seconds"),
        upload=Upload(
            method="PUT",
            url=s3.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": BUCKET,
                    "Key": f"incoming/{name}",
                    "ContentLength": wanted.size,
                    "ContentType": wanted.content_type,
                    "IfNoneMatch": "*",
                    "Metadata": {"grant": token},
                },
                ExpiresIn=PUT_SECONDS,
            ),
            headers={"content-type": wanted.content_type, "if-none-match": "*", "x-amz-meta-grant": token},
            expires_at=(now + timedelta(seconds=PUT_SECONDS)).isoformat(timespec="seconds"),
        ),
        multipart=None,
        status_url=url,
        complete_url=f"{url}/complete",
        abort_url=url,
    )


@app.post("/v1/links")
async def create_links(caller: Caller, wanted: LinksRequest, request: Request) -> Links:
    """Seal or presign one link after the other."""
    expires_at = (datetime.now(UTC) + timedelta(seconds=LINK_SECONDS)).isoformat(timespec="seconds")
    made = []
    for one in wanted.links:
        if not one.key.startswith(f"objects/{caller}/"):
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT)
        filename = one.filename or one.key.rpartition("/")[2]
        if wanted.via == "direct":
            url = presigned_get(one.key, filename, one.expires_in or 3600)
        else:
            url = f"{request.base_url}d/{links.dumps([one.key, filename])}/{filename}"
        made.append(Linked(key=one.key, url=url, expires_at=expires_at))
    return Links(links=made)


@app.get("/d/{token}/{filename}", status_code=307)
async def follow_link(token: str, filename: str) -> RedirectResponse:  # noqa: ARG001 - for people to read
    """Redirect to a presigned GET."""
    try:
        key, name = links.loads(token, max_age=LINK_SECONDS)
    except BadSignature:
        raise HTTPException(status.HTTP_404_NOT_FOUND) from None
    return RedirectResponse(presigned_get(key, name, GET_SECONDS))


def presigned_get(key: str, filename: str, expires_in: int) -> str:
    """Presign a download that is saved and not shown."""
    return s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": BUCKET,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": "application/octet-stream",
        },
        ExpiresIn=expires_in,
    )


if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
