"""What our tap and streams define overrides nothing of the SDK without saying so."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import Stream, Tap
from typing_extensions import override

from tap_lev.streams import STREAMS
from tap_lev.streams.crm import Contacts
from tap_lev.tap import TapLev

if TYPE_CHECKING:
    from collections.abc import Iterator

DECLARED = {
    "name", "schema", "primary_keys", "replication_key", "selected_by_default",
    "TYPE_CONFORMANCE_LEVEL", "capabilities", "config_jsonschema", "message_writer_class",
}  # fmt: skip
"""Class attributes by which taps and streams describe themselves to the SDK."""
ASSIGNED = {"schema", "_mapper", "_stream_version"}
"""Attributes of the SDK's instances that ours set in the SDK's place."""


class PlainTap(Tap):
    """A tap with no more than the SDK demands."""

    name = "plain"
    config_jsonschema: dict[str, Any] = {"properties": {}}  # noqa: RUF012 - the SDK's type

    @override
    def discover_streams(self) -> list[Stream]:
        return [PlainStream(self)]


class PlainStream(Stream):
    """A stream with no more than the SDK demands."""

    name = "plain"
    schema = {"properties": {}}  # noqa: RUF012 - the SDK's type

    @override
    def get_records(self, context: object) -> Iterator[dict[str, Any]]:
        yield from ()


def is_override(member: object) -> bool:
    """Whether ``@override`` stands on what a property, a class method or the like wraps."""
    wrapped = (getattr(member, name, None) for name in ("fget", "func", "__func__", "method"))
    return any(getattr(each, "__override__", False) for each in (member, *wrapped))


def assigned(kind: type) -> set[str]:
    """The attributes that a class sets on ``self``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def clashes(kind: type, plain: Tap | Stream) -> set[str]:
    """The SDK's attributes that a class or a base of ours overrides without saying so.

    Args:
        kind: The class.
        plain: What has the SDK's attributes, those of its instances too.
    """
    of_sdk = {name for name in dir(plain) if not name.startswith("__") and name != "_abc_impl"}
    found = set()
    for ours in kind.__mro__:
        if ours in type(plain).__mro__:
            continue
        members = vars(ours).items()
        found |= {name for name, member in members if not is_override(member)} - DECLARED
        found |= assigned(ours) - ASSIGNED
    return found & of_sdk


def test_the_tap_overrides_nothing_of_the_sdk_by_chance() -> None:
    assert clashes(TapLev, PlainTap()) == set()


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_stream_overrides_nothing_of_the_sdk_by_chance(stream: type[Stream]) -> None:
    assert clashes(stream, PlainStream(PlainTap())) == set()


def test_a_clash_is_found_in_each_form() -> None:
    class Clashing(Contacts):
        def __init__(self) -> None:
            self.context = None

        @property
        def mask(self) -> None:
            """It is the SDK's."""

        @property
        @override
        def metadata(self) -> None:
            """It is the SDK's too, but says so."""

    assert clashes(Clashing, PlainStream(PlainTap())) == {"context", "mask"}
