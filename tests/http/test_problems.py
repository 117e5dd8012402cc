"""Refusals as a caller reads them, whoever raised them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.errors import Code, Refusal
from gateway.http import problems
from gateway.http.problems import describe, internal_error, invalid, problem, problem_responses

SECRET = "objects/tenant/secret-key"


class Part(BaseModel):
    number: int


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    size: int
    via: Annotated[str, Field(pattern="redirect|direct")] = "direct"
    metadata: dict[str, str] = {}
    parts: list[Part] = []


def throw_away_app() -> FastAPI:
    app = FastAPI(telemetry={"auto_configure": False})
    problems.install(app)

    @app.post("/wanted", responses=problem_responses(Code.INVALID_REQUEST, Code.TOO_LARGE, Code.UNAUTHENTICATED))
    async def wanted(body: Annotated[Wanted, Body()]) -> Wanted:
        return body

    @app.get("/refused/{code}")
    async def refused(code: str) -> None:
        raise Refusal(Code[code], retry_after=7 if code == "STORAGE_UNAVAILABLE" else None)

    @app.get("/http/{status}")
    async def http(status: int) -> None:
        raise HTTPException(status, SECRET, {"x-kept": "yes"})

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError(SECRET)

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(throw_away_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gw.example") as client:
        yield client


def test_a_problem_document_is_these_bytes() -> None:
    response = problem(Refusal(Code.TOO_LARGE), "4f2a")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body == (
        b'{"type":"urn:signed-url-gateway:problem:too-large","title":"Too large","status":422,'
        b'"detail":"Keep the size within the policy\'s limits.","code":"too-large","request_id":"4f2a"}'
    )


@pytest.mark.parametrize("code", Code)
def test_every_refusal_has_a_document(code: Code) -> None:
    document = describe(Refusal(code), "id")
    assert document == {
        "type": f"urn:signed-url-gateway:problem:{code.code}",
        "title": code.code.replace("-", " ").capitalize(),
        "status": code.status,
        "detail": code.sentence,
        "code": code.code,
        "request_id": "id",
    }


def test_a_refusals_own_detail_replaces_the_sentence() -> None:
    assert describe(Refusal(Code.BAD_REQUEST, "Send one Host."), "id")["detail"] == "Send one Host."


def test_retry_after_and_www_authenticate_come_with_their_refusals() -> None:
    assert problem(Refusal(Code.STORAGE_UNAVAILABLE, retry_after=7), "id").headers["retry-after"] == "7"
    assert "retry-after" not in problem(Refusal(Code.STORAGE_UNAVAILABLE), "id").headers
    assert problem(Refusal(Code.UNAUTHENTICATED), "id").headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in problem(Refusal(Code.FORBIDDEN), "id").headers


async def test_a_refusal_raised_in_a_route_is_answered(client: httpx.AsyncClient) -> None:
    response = await client.get("/refused/STORAGE_UNAVAILABLE")
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    assert response.json()["code"] == "storage-unavailable"


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (400, 400, "bad-request"),
        (401, 401, "unauthenticated"),
        (403, 403, "forbidden"),
        (404, 404, "not-found"),
        (413, 413, "payload-too-large"),
        (415, 415, "unsupported-media-type"),
        (418, 400, "bad-request"),
        (422, 422, "invalid-request"),
        (429, 429, "too-many-requests"),
        (500, 500, "internal-error"),
        (504, 500, "internal-error"),
    ],
)
async def test_an_http_exception_becomes_a_refusal(
    client: httpx.AsyncClient, status: int, answered: int, code: str
) -> None:
    response = await client.get(f"/http/{status}")
    assert (response.status_code, response.json()["code"]) == (answered, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("x-kept") == ("yes" if answered < 500 else None)
    assert SECRET not in response.text


@pytest.mark.threat(56)
async def test_a_405_keeps_its_allow(client: httpx.AsyncClient) -> None:
    response = await client.put("/wanted")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["code"] == "method-not-allowed"


async def test_a_path_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


@pytest.mark.threat(45)
async def test_nothing_of_a_bug_is_told(client: httpx.AsyncClient) -> None:
    response = await client.get("/bug")
    assert response.status_code == 500
    assert response.content == internal_error("").body
    assert SECRET not in response.text


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"size": "secret"}', "size: int_type"),
        (b'{"size": true}', "size: int_type"),
        (b'{"size": 1, "via": "secret"}', "via: string_pattern_mismatch"),
        (b'{"size": 1, "secret": 2}', "body: extra_forbidden"),
        (b'{"size": 1, "metadata": {"secret": 2}}', "metadata: string_type"),
        (b'{"size": 1, "parts": [{"number": 1}, {"number": "secret"}]}', "parts[1].number: int_parsing"),
        (b"{}", "size: missing"),
        (b"[]", "body: model_attributes_type"),
        (b'{"secret', "body: json_invalid"),
        (b'{"via": 1, "metadata": 1, "parts": 1}', "size: missing; via: string_type; metadata: dict_type"),
    ],
)
async def test_an_invalid_body_is_told_by_field_and_never_repeated(
    client: httpx.AsyncClient, body: bytes, complaint: str
) -> None:
    response = await client.post("/wanted", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid-request"
    assert response.json()["detail"] == f"The request body or parameters are not as documented. ({complaint})"
    assert "secret" not in response.text


def test_pydantics_own_errors_are_told_the_same_way() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Wanted).validate_json(b'{"size": NaN}')
    assert invalid(caught.value.errors()).detail.endswith("(size: int_type)")
    assert invalid([]).detail == Code.INVALID_REQUEST.sentence


@pytest.mark.threat(45)
def test_fields_below_a_field_are_named_and_keys_below_a_mapping_are_not() -> None:
    class Order(BaseModel):
        wanted: Wanted

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Order).validate_python({"wanted": {"size": "x", "metadata": {"wanted": 1, "secret": 2}}})
    told = invalid(caught.value.errors(), frozenset({"wanted"})).detail
    assert told.endswith("(wanted.size: int_type; wanted.metadata: string_type; wanted.metadata: string_type)")
    told = invalid(caught.value.errors()).detail
    assert told.endswith("(wanted: int_type; wanted: string_type; wanted: string_type)")


def test_the_openapi_document_names_the_problems_of_a_route() -> None:
    document: dict[str, Any] = throw_away_app().openapi()
    responses = document["paths"]["/wanted"]["post"]["responses"]
    assert set(responses) == {"200", "401", "422"}
    assert list(responses["422"]["content"]) == ["application/problem+json"]
    schema = responses["422"]["content"]["application/problem+json"]["schema"]
    assert schema["properties"]["code"]["enum"] == ["invalid-request", "too-large"]
    assert schema["properties"]["status"]["const"] == 422
    assert schema["required"] == ["type", "title", "status", "detail", "code", "request_id"]
