"""GET /v1/policies: what the caller may use, and how far."""

import httpx

from gateway.apps import make_pass
from gateway.errors import Code
from tests.gateways import APP_SECRET, OTHER_API_KEY
from tests.http.routes.flow import NOW, READER_KEY, assert_refused, bearer

MULTIPART_FROM = 100 * 2**20
EVERYTHING = {
    "name": "default",
    "content_types": [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "text/plain",
        "text/csv",
        "application/json",
    ],
    "extensions": ["png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "pdf", "txt", "text", "log", "csv", "json"],
    "max_size": 5 * 1024**3,
    "checksum": "optional",
    "multipart_from": MULTIPART_FROM,
}
PHOTOS = {
    "name": "photos",
    "content_types": ["image/png", "image/jpeg"],
    "extensions": ["png", "jpg", "jpeg", "jpe", "jfif"],
    "max_size": 1000,
    "checksum": "optional",
    "multipart_from": MULTIPART_FROM,
}
PROVED = {
    "name": "proved",
    "content_types": ["image/png"],
    "extensions": ["png"],
    "max_size": 1000,
    "checksum": "required",
    "multipart_from": MULTIPART_FROM,
}
FILMS = {
    "name": "films",
    "content_types": ["application/octet-stream", "text/plain"],
    "extensions": ["bin", "txt", "text", "log"],
    "max_size": 40 * 2**20,
    "checksum": "optional",
    "multipart_from": 1,
}
SEALED = {**FILMS, "name": "sealed", "checksum": "required"}


async def test_a_caller_sees_the_policies_it_may_use_in_the_order_of_the_settings(offline: httpx.AsyncClient) -> None:
    assert (await offline.get("/v1/policies")).json() == {"policies": [EVERYTHING, PHOTOS, PROVED, FILMS, SEALED]}
    assert (await offline.get("/v1/policies", headers=bearer(READER_KEY))).json() == {"policies": []}
    assert (await offline.get("/v1/policies", headers=bearer(OTHER_API_KEY))).json() == {"policies": [EVERYTHING]}


async def test_a_pass_sees_its_own_policy_as_far_as_it_reaches(offline: httpx.AsyncClient) -> None:
    made = make_pass(
        [APP_SECRET], "alice", policy="photos", max_size=100, content_types=["image/png"], clock=lambda: NOW
    )
    narrowed = {**PHOTOS, "content_types": ["image/png"], "extensions": ["png"], "max_size": 100}
    assert (await offline.get("/v1/policies", headers=bearer(made))).json() == {"policies": [narrowed]}


async def test_nobody_sees_no_policies(offline: httpx.AsyncClient) -> None:
    del offline.headers["authorization"]
    answer = await offline.get("/v1/policies")
    assert_refused(answer, Code.UNAUTHENTICATED)
    assert answer.headers["www-authenticate"] == "Bearer"
