"""What infra/template.yaml says once its parameters are known: the few intrinsic functions it uses, resolved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
NO_VALUE = object()
ACCOUNT = "111122223333"
QUEUE_ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:events"


class Loader(yaml.SafeLoader):
    """Reads `!Ref x` as `{"Ref": x}`, and so on."""


def _tagged(loader: Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.ScalarNode)
    return {tag: loader.construct_scalar(node)}


Loader.add_multi_constructor("!", _tagged)


def resolved(parameters: Mapping[str, Any], *, bucket: str) -> dict[str, Any]:
    """Return the properties of each resource of the template, by its name."""
    template = yaml.load(TEMPLATE.read_text("utf-8"), Loader)  # noqa: S506 - a subclass of the safe loader
    names = {
        "Bucket": bucket,
        "AWS::Partition": "aws",
        "AWS::AccountId": ACCOUNT,
        "AWS::NoValue": NO_VALUE,
        "ApiPolicy": "the-api-policy",
        "WorkerPolicy": "the-worker-policy",
        "EventsQueue": "https://sqs.example/the-queue",
        "EventsQueue.Arn": QUEUE_ARN,
        "DeadLetterQueue.Arn": f"{QUEUE_ARN}-dead",
    }
    names |= {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    names |= parameters
    return {
        name: _resolve(resource["Properties"], names, template["Conditions"])
        for name, resource in template["Resources"].items()
    }


def _resolve(value: Any, names: Mapping[str, Any], conditions: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any YAML
    match value:
        case {"Ref": name} | {"GetAtt": name}:
            return names[name]
        case {"Sub": text}:
            for name, filling in names.items():
                text = text.replace(f"${{{name}}}", str(filling))
            return text
        case {"If": [condition, yes, no]}:
            return _resolve(yes if _holds(conditions[condition], names) else no, names, conditions)
        case dict():
            items = {key: _resolve(item, names, conditions) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not NO_VALUE}
        case list():
            found = [_resolve(item, names, conditions) for item in value]
            return [item for item in found if item is not NO_VALUE]
        case _:
            return value


def _holds(condition: Mapping[str, Any], names: Mapping[str, Any]) -> bool:
    match condition:
        case {"Not": [other]}:
            return not _holds(other, names)
        case {"Equals": [left, right]}:
            return bool(_resolve(left, names, {}) == _resolve(right, names, {}))
        case _:
            raise ValueError(condition)
