"""The OpenAPI document is complete and true: what the gateway answers is what its document says, by schemathesis."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, CheckContext, CheckFunction, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateways import API_KEY, make_app
from tests.http.live import serving
from tests.servers.s3 import S3Server

# Every operation, what it answers when all is well, and the refusals that are its own. Any request may meet the others
# as well: 400, 408, 413, 414, 431 by what stands before the routes, and 500 where there is a bug.
DOCUMENTED = {
    ("POST", "/v1/uploads"): ["201", "401", "403", "413", "415", "422", "429", "503"],
    ("GET", "/v1/uploads/{ticket}"): ["200", "401", "404", "503"],
    ("DELETE", "/v1/uploads/{ticket}"): ["204", "401", "404", "409", "503"],
    ("POST", "/v1/uploads/{ticket}/parts"): ["200", "401", "404", "413", "415", "422", "503"],
    ("POST", "/v1/uploads/{ticket}/complete"): ["200", "202", "401", "404", "409", "413", "415", "422", "503"],
    ("POST", "/v1/uploads/complete"): ["200", "202", "401", "403", "404", "409", "413", "415", "422", "503"],
    ("POST", "/v1/passes"): ["201", "401", "403", "413", "415", "422"],
    ("GET", "/v1/policies"): ["200", "401"],
    ("POST", "/v1/links"): ["200", "401", "403", "413", "415", "422", "503"],
    ("GET", "/d/{token}"): ["307", "404", "503"],
    ("HEAD", "/d/{token}"): ["307", "404", "503"],
    ("GET", "/d/{token}/{filename}"): ["307", "404", "503"],
    ("HEAD", "/d/{token}/{filename}"): ["307", "404", "503"],
    ("GET", "/v1/objects"): ["200", "401", "403", "404", "422", "503"],
    ("GET", "/v1/objects/{key}"): ["200", "401", "403", "404", "503"],
    ("DELETE", "/v1/objects/{key}"): ["204", "401", "403", "404", "503"],
    ("GET", "/healthz"): ["200"],
    ("HEAD", "/healthz"): ["200"],
    ("GET", "/readyz"): ["200", "503"],
    ("HEAD", "/readyz"): ["200", "503"],
}
Operation = APIOperation[Any, Any, Any, Any]
REQUIRED: list[dict[str, list[str]]] = [{"HTTPBearer": []}]
ALLOWED: list[dict[str, list[str]]] = [{}, {"HTTPBearer": []}]
BEFORE_ROUTES = {400, 408, 413, 414, 431}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WISH = {
    "filename": "dot.png",
    "content_type": "image/png",
    "size": len(PNG),
    "checksum_sha256": base64.b64encode(hashlib.sha256(PNG).digest()).decode(),
    "metadata": {"album": "Š"},
}
# Any text may stand in a path, so only bodies and queries can be wrong.
WITH_RULES = [each for each in DOCUMENTED if "422" in DOCUMENTED[each]]
EXAMPLES = 40
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
OPERATIONS = [pytest.param(*operation, id=" ".join(operation)) for operation in DOCUMENTED]


@pytest.fixture(scope="module")
def base_url(ministack: S3Server) -> Iterator[str]:
    with serving(make_app(ministack, docs=True)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {API_KEY}"}) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
    return document


@pytest.fixture(scope="module")
def schema(document: dict[str, Any]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(document)


@pytest.fixture(scope="module")
def ticket(client: httpx.Client) -> str:
    return str(client.post("/v1/uploads", json=WISH).raise_for_status().json()["ticket"])


@pytest.fixture(scope="module")
def tickets(client: httpx.Client, ticket: str) -> list[str]:
    """Return a ticket of a single PUT, and one of a stream in parts."""
    divided = {**WISH, "size": None}
    return [ticket, str(client.post("/v1/uploads", json=divided).raise_for_status().json()["ticket"])]


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_names_every_operation_and_every_status(document: dict[str, Any]) -> None:
    described = operations(document)
    assert {each: sorted(operation["responses"]) for each, operation in described.items()} == {
        each: [*statuses, "default"] for each, statuses in DOCUMENTED.items()
    }


def test_every_operation_has_a_title_a_sentence_and_a_group(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"] in (["uploads"], ["links"], ["objects"], ["health"])


def test_every_refusal_is_a_problem_document_and_an_answer_without_a_body_has_none(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            types = list(response.get("content", {}))
            if status in {"204", "307"}:
                assert types == []
            else:
                problem = status == "default" or status >= "400"
                assert types == ["application/problem+json" if problem else "application/json"]


def test_every_body_is_closed_to_unknown_fields_and_what_it_requires_has_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    bodies = [each["requestBody"] for each in operations(document).values() if "requestBody" in each]
    names = [body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for body in bodies]
    assert sorted(names) == [
        *("CompleteByKeyRequest", "CompleteRequest", "LinksRequest", "PartsRequest", "PassRequest", "UploadRequest"),
    ]
    for name in [*names, "CompletedPart", "WantedLink"]:
        assert schemas[name]["additionalProperties"] is False
        required = {field: schemas[name]["properties"][field] for field in schemas[name].get("required", [])}
        assert [field for field, shape in required.items() if "examples" not in shape and "items" not in shape] == []


@pytest.mark.threat(27)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_credentials_are_asked_for_exactly_where_the_document_says(
    document: dict[str, Any], base_url: str, ticket: str, method: str, path: str
) -> None:
    security = operations(document)[method, path].get("security")
    url = base_url + path.format(ticket=ticket, token="a", filename="a", key="a")
    body: dict[str, object] | None = {} if method == "POST" else None
    if path.endswith("/parts"):
        body = {"part_numbers": [1]}
    without = httpx.request(method, url, json=body).status_code == 401
    wrong = httpx.request(method, url, json=body, headers={"authorization": "Bearer gwk_nobody"}).status_code == 401
    assert (without, wrong) == (security == REQUIRED, security in (REQUIRED, ALLOWED))


def own_status(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Hold that only what stands before the routes may answer what the operation itself does not list."""
    listed = DOCUMENTED[case.method.upper(), case.path]
    assert str(response.status_code) in listed or response.status_code in BEFORE_ROUTES


def refused(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Hold that what the document forbids is refused, if not by the operation, then before it."""
    if response.status_code not in BEFORE_ROUTES:
        negative_data_rejection(context, response, case)


CHECKS: list[CheckFunction] = [
    *(not_a_server_error, own_status, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance),
]


def check(
    operation: Operation, base_url: str, mode: GenerationMode, tickets: list[str], checks: list[CheckFunction]
) -> None:
    """Call the operation with generated requests; most of the tickets are live ones."""
    live = [{"ticket": ticket} for ticket in tickets] if "{ticket}" in operation.path else []
    known = [None, *live]
    cases = st.one_of([operation.as_strategy(mode, path_parameters=parameters) for parameters in known])

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=SLOW)
    @given(case=cases)
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(base_url, headers={"authorization": f"Bearer {API_KEY}"}, checks=checks)

    holds()


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(
    schema: schemathesis.BaseSchema, base_url: str, tickets: list[str], method: str, path: str
) -> None:
    check(schema[path][method], base_url, GenerationMode.POSITIVE, tickets, CHECKS)


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize(("method", "path"), [each for each in OPERATIONS if each.values in WITH_RULES])
def test_what_the_document_forbids_is_refused_as_it_says(
    schema: schemathesis.BaseSchema, base_url: str, tickets: list[str], method: str, path: str
) -> None:
    check(schema[path][method], base_url, GenerationMode.NEGATIVE, tickets, [*CHECKS, refused])


class Journey:
    """Calls the gateway as the document describes it, holds each answer to it, and notes which were given."""

    def __init__(self, schema: schemathesis.BaseSchema, base_url: str) -> None:
        self._schema = schema
        self._base_url = base_url
        self.seen: set[tuple[str, str, str]] = set()

    def __call__(self, method: str, path: str, body: object = None, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        names = {name: value for name, value in parameters.items() if f"{{{name}}}" in path}
        query = {name: value for name, value in parameters.items() if name not in names}
        given: dict[str, Any] = {"body": body, "media_type": "application/json"} if method == "POST" else {}
        case = self._schema[path][method].Case(path_parameters=names, query=query, **given)
        headers = {"authorization": f"Bearer {API_KEY}"}
        response = case.call_and_validate(self._base_url, headers=headers, checks=CHECKS, allow_redirects=False)
        self.seen.add((method, path, str(response.status_code)))
        return json.loads(response.content) if response.content else None

    def put(self, ticket: dict[str, Any], body: bytes) -> None:
        upload = ticket["upload"]
        httpx.put(upload["url"], content=body, headers=upload["headers"]).raise_for_status()


def test_a_whole_journey_meets_every_success_that_the_document_lists(
    schema: schemathesis.BaseSchema, base_url: str
) -> None:
    call = Journey(schema, base_url)
    ticket = call("POST", "/v1/uploads", WISH)
    token, key = ticket["ticket"], ticket["key"]
    assert call("POST", "/v1/uploads/{ticket}/complete", {}, ticket=token)["code"] == "not-uploaded"
    call.put(ticket, PNG)
    assert call("GET", "/v1/uploads/{ticket}", ticket=token)["status"] == "uploaded"
    assert call("POST", "/v1/uploads/{ticket}/complete", {}, ticket=token)["status"] == "stored"
    assert call("POST", "/v1/uploads/complete", {"upload_key": ticket["upload_key"]})["status"] == "stored"
    assert call("DELETE", "/v1/uploads/{ticket}", ticket=token)["code"] == "already-stored"

    wanted = [{"key": key, "filename": "dot.png", "disposition": "inline"}, {"key": "objects/other/a/b.png"}]
    links = call("POST", "/v1/links", {"links": wanted})["links"]
    assert [list(each) for each in links] == [["key", "url", "expires_at"], ["key", "error"]]
    call("POST", "/v1/links", {"links": wanted, "via": "direct"})
    link = links[0]["url"].split("/")[-2]
    for method in ("GET", "HEAD"):
        call(method, "/d/{token}", token=link)
        call(method, "/d/{token}/{filename}", token=link, filename="dot.png")
        call(method, "/healthz")
        call(method, "/readyz")

    call("POST", "/v1/passes", {"max_size": 1000, "content_types": ["image/png"]})
    call("GET", "/v1/policies")
    page = call("GET", "/v1/objects", limit="1", prefix="default/")
    assert len(page["objects"]) == 1
    assert call("GET", "/v1/objects/{key}", key=key)["metadata"] == {"album": "Š"}
    call("DELETE", "/v1/objects/{key}", key=key)
    call("DELETE", "/v1/objects/{key}", key=key)
    assert call("GET", "/v1/uploads/{ticket}", ticket=token)["status"] == "deleted"

    aborted = call("POST", "/v1/uploads", WISH)["ticket"]
    call("DELETE", "/v1/uploads/{ticket}", ticket=aborted)
    assert call("GET", "/v1/uploads/{ticket}", ticket=aborted)["status"] == "aborted"

    stream = call("POST", "/v1/uploads", {"filename": "a.txt", "content_type": "text/plain", "size": None})
    wanted_parts = {"part_numbers": [1], "sizes": {"1": 2}}
    (part,) = call("POST", "/v1/uploads/{ticket}/parts", wanted_parts, ticket=stream["ticket"])["parts"]
    etag = httpx.put(part["url"], content=b"hi", headers=part["headers"]).raise_for_status().headers["etag"]
    arrived = call("GET", "/v1/uploads/{ticket}", ticket=stream["ticket"])
    assert (arrived["status"], arrived["parts"]) == ("uploading", [{"part_number": 1, "size": 2, "etag": etag}])
    named = {"parts": [{"part_number": 1, "etag": etag}]}
    assert call("POST", "/v1/uploads/{ticket}/complete", named, ticket=stream["ticket"])["status"] == "stored"

    false = call("POST", "/v1/uploads", {"filename": "a.txt", "content_type": "text/plain", "size": 6})
    call.put(false, b"<html>")
    assert call("POST", "/v1/uploads/{ticket}/complete", {}, ticket=false["ticket"])["code"] == "active-content"
    rejected = call("GET", "/v1/uploads/{ticket}", ticket=false["ticket"])
    assert (rejected["status"], rejected["problem"]["code"]) == ("rejected", "active-content")

    listed = {(*each, status) for each, statuses in DOCUMENTED.items() for status in statuses if status < "400"}
    assert listed - call.seen == {  # these take more than 20 s, so a test of their own
        ("POST", "/v1/uploads/{ticket}/complete", "202"),
        ("POST", "/v1/uploads/complete", "202"),
    }
