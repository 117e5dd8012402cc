"""docs/settings.md names every setting there is, with the type and default that the code has."""

import json
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.content.media_types import MEDIA_TYPES
from gateway.setting_sources import OTHER_NAMES, PREFIX
from gateway.setting_tables import (
    ApiKeySettings,
    JwtSettings,
    PolicySettings,
    QuotaSettings,
    TenantSettings,
    WebhookSettings,
)
from gateway.settings import Settings
from tests.docs.pages import page, rows

PAGE = page("docs/settings.md")
NAMES = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text", "object": "table"}
FORMATS = {"password": "secret", "file-path": "path", "directory-path": "path", "path": "path"}


def type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Say in the page's words what a JSON schema takes."""
    if "anyOf" in schema:
        (schema,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        *first, last = schema["enum"]
        return f"{', '.join(first)} or {last}"
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'], definitions)}"
    return FORMATS.get(schema.get("format", ""), NAMES[schema["type"]])


def bounds_of(field: FieldInfo) -> list[str]:
    """Say what numbers are taken; checks that run before pydantic's own keep them out of the schema."""
    nested = (each for part in get_args(field.annotation) for each in getattr(part, "__metadata__", ()))
    found = [*field.metadata, *(more for each in nested if isinstance(each, FieldInfo) for more in each.metadata)]
    above, least, most = (
        next((getattr(each, name) for each in found if hasattr(each, name)), None) for name in ("gt", "ge", "le")
    )
    if least is not None and most is not None:
        return [f"{least} to {most}"]
    named = {"above": above, "at least": least, "at most": most}
    return [f"{name} {bound}" for name, bound in named.items() if bound is not None]


def default_of(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required():
        return "needed"
    value = field.default
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(
    ("heading", "model", "prefix"),
    [
        ("## All settings", Settings, PREFIX),
        ("## A tenant", TenantSettings, ""),
        ("## A policy", PolicySettings, ""),
        ("## A quota", QuotaSettings, ""),
        ("## A webhook", WebhookSettings, ""),
        ("## An API key", ApiKeySettings, ""),
        ("## An issuer of JWTs", JwtSettings, ""),
    ],
)
def test_each_table_has_exactly_the_settings_there_are(heading: str, model: type[BaseModel], prefix: str) -> None:
    schema = model.model_json_schema()
    expected = [
        [
            prefix + (name.upper() if prefix else name),
            ", ".join([type_of(schema["properties"][name], schema.get("$defs", {})), *bounds_of(field)]),
            default_of(model, name),
        ]
        for name, field in model.model_fields.items()
    ]
    table = rows(PAGE, heading)
    assert [row[:3] for row in table] == expected
    assert all(row[3] for row in table)


def test_the_media_types_are_those_that_can_be_proved() -> None:
    expected = [
        [each.name, ", ".join(each.extensions), "yes" if each.inline else "no"] for each in MEDIA_TYPES.values()
    ]
    assert rows(PAGE, "## Media types") == expected


def test_the_names_that_are_no_settings_are_told() -> None:
    assert all(f"`{name}`" in PAGE for name in OTHER_NAMES)
    assert "enableServiceLinks: false" in PAGE
