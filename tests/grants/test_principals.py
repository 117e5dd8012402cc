"""Principals: what they may do, and for whom they speak."""

import pytest

from gateway.errors import Code, Refusal
from gateway.grants.principals import Action, Kind, Limits, Principal, is_principal_name


def principal(
    name: str = "alice", *, on_behalf_of: bool = False, actions: frozenset[Action] = frozenset()
) -> Principal:
    return Principal("default", name, Kind.API_KEY, actions, frozenset(), on_behalf_of)


@pytest.mark.parametrize("action", Action)
def test_an_action_is_allowed_by_name_and_no_other_with_it(action: Action) -> None:
    one = principal(actions=frozenset({action}))
    one.require(action)
    for other in set(Action) - {action}:
        with pytest.raises(Refusal) as caught:
            one.require(other)
        assert (caught.value.code, caught.value.detail) == (
            Code.FORBIDDEN,
            f"These credentials do not allow the action '{other}'.",
        )


@pytest.mark.threat(1)
def test_a_principal_speaks_for_itself_and_for_others_only_where_it_may() -> None:
    assert principal().speaks_for("default", "alice")
    assert not principal().speaks_for("default", "bob")
    assert not principal().speaks_for("other", "alice")
    assert principal(on_behalf_of=True).speaks_for("default", "bob")
    assert not principal(on_behalf_of=True).speaks_for("other", "bob")
    assert not principal(on_behalf_of=True).speaks_for("other", "alice")


def test_without_limits_nothing_is_limited() -> None:
    assert principal().limits == Limits(max_size=None, content_types=None)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("alice", True),
        ("key:aaaaaaaa", True),
        ("user 7", True),
        ("Zoë", True),
        ("x" * 128, True),
        ("é" * 64, True),
        ("", False),
        ("x" * 129, False),
        ("é" * 65, False),
        ("a\nb", False),
        ("a\x1b[2J", False),
        ("a\0", False),
        ("a\u202eb", False),
        ("a\u200b", False),
        ("a\x7f", False),
        ("a\u2028", False),
    ],
)
@pytest.mark.threat(52)
def test_a_principal_is_named_by_1_to_128_bytes_of_printable_text(text: str, *, is_one: bool) -> None:
    assert is_principal_name(text) is is_one
