"""docs/protocol.md tells every route, shape and code, and none that is not there."""

import re
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

from gateway import create_app, load
from gateway.content.media_types import MEDIA_TYPES
from gateway.errors import Code
from gateway.http import schemas
from gateway.http.guard import BODY_SECONDS, MAX_BODIES, MAX_BODY
from gateway.http.heads import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from gateway.http.problems import INTERNAL_ERROR
from gateway.markers import State
from tests.docs.conftest import Desk
from tests.docs.pages import blocks, page, rows
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant

PAGE = page("docs/protocol.md")
SECTIONS = re.compile(r"^### (?P<methods>[A-Z, ]+) (?P<path>/\S*)\n(?P<text>.*?)(?=^##)", re.MULTILINE | re.DOTALL)


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    tenants = {"default": tenant(API_KEY, APP_SECRET)}
    return create_app(load(secret_keys=[SECRET_KEY], bucket="photos", region="eu-central-1", tenants=tenants)).openapi()


def refusals(responses: dict[str, Any]) -> set[str]:
    """Return the codes that a route answers with by itself."""
    schemas = (
        next(iter(each["content"].values()))["schema"] for status, each in responses.items() if status[0] in "45"
    )
    return {code for schema in schemas for code in schema["properties"]["code"]["enum"]}


def test_every_route_is_told_with_its_answers_and_refusals() -> None:
    told = {
        (method, match["path"]): (
            set(re.findall(r"\b(20\d|307)\b", match["text"].partition("\n\n|")[0])),
            set(re.findall(r"`([a-z-]+)`", match["text"].partition("\nRefusals: ")[2].partition("\n\n")[0])),
        )
        for match in SECTIONS.finditer(PAGE)
        for method in match["methods"].split(", ")
    }
    expected = {
        (method.upper(), path): (
            {status for status in operation["responses"] if status[0] in "23"},
            refusals(operation["responses"]),
        )
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }
    assert told == expected


@pytest.mark.parametrize(
    "shape",
    [
        schemas.UploadRequest,
        schemas.Ticket,
        schemas.Upload,
        schemas.Multipart,
        schemas.Part,
        schemas.PartsRequest,
        schemas.CompleteRequest,
        schemas.CompletedPart,
        schemas.Status,
        schemas.ArrivedPart,
        schemas.Object,
        schemas.PassRequest,
        schemas.PolicySummary,
        schemas.LinksRequest,
        schemas.WantedLink,
    ],
)
def test_every_shape_is_told_field_by_field(shape: type) -> None:
    names = list(shape.model_fields if issubclass(shape, BaseModel) else get_type_hints(shape))
    assert [row[0] for row in rows(PAGE, f"### {shape.__name__}")] == names


def test_every_state_is_told() -> None:
    assert {row[0] for row in rows(PAGE, "### States")} == {str(state) for state in State}


def test_the_codes_are_those_of_the_one_table() -> None:
    expected = [[code.code, str(code.status), code.sentence] for code in Code]
    told = [[row[0], row[1], row[2]] for row in rows(PAGE, "## Problems")]
    assert told == expected
    assert f"`{INTERNAL_ERROR}`" in PAGE


def test_the_limits_of_a_request_are_those_of_the_guard() -> None:
    limits = f"{MAX_BODY // 1024} KiB that arrives within {BODY_SECONDS:g} s ({MAX_BODIES['links'] // 2**20} MiB for "
    limits += f"links, {MAX_BODIES['parts'] // 1024} KiB to have parts presigned, "
    limits += f"{MAX_BODIES['complete'] // 2**20} MiB to complete), {MAX_HEADERS} headers of "
    limits += f"{MAX_HEADER_BYTES // 1024} KiB in all, and a target of {MAX_TARGET_BYTES // 1024} KiB."
    assert limits in PAGE.replace("\n", " ")


def test_the_loop_for_large_files_sends_all_parts_and_run_again_goes_on(desk: Desk) -> None:
    (block,) = blocks(PAGE, "bash")
    loop = f"set -a; . .gateway/dev.env; set +a\n{block}"
    broken_off = loop.replace("  echo", '  [ "$number" != 5 ] || exit 0\n  echo')
    assert broken_off != loop
    assert desk.bash(broken_off) == "".join(f"part {number}\n" for number in range(1, 5))
    assert desk.bash(loop) == "".join(f"part {number}\n" for number in range(6, 15)) + "stored\n"


def test_what_is_shown_inline_is_what_the_table_of_media_types_says() -> None:
    inline = {each.name.partition("/")[0] for each in MEDIA_TYPES.values() if each.inline}
    assert inline == {"image", "video", "audio"}
    assert [each.name for each in MEDIA_TYPES.values() if each.name.startswith("image/") and not each.inline] == [
        "image/svg+xml"
    ]
    assert "Only raster images, sound and film are ever shown inline" in PAGE
