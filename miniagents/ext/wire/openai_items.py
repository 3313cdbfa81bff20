"""OpenAI's items: the parts of inputs and conversations, and pages of them."""

from typing import Any, Literal

import msgspec

from miniagents.ext.wire.openai_responses import FunctionCallItem, MessageItem


class InputTextPart(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """A text in an input."""

    text: str


class InputImagePart(msgspec.Struct, frozen=True, tag="input_image", tag_field="type"):
    """An image in an input."""

    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto"] = "auto"


class InputFilePart(msgspec.Struct, frozen=True, tag="input_file", tag_field="type", omit_defaults=True):
    """A file in an input."""

    filename: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class Sound(msgspec.Struct, frozen=True):
    """Sound, in base64."""

    data: str
    format: str


class InputAudioPart(msgspec.Struct, frozen=True, tag="input_audio", tag_field="type"):
    """Sound in an input."""

    input_audio: Sound


InputPart = InputTextPart | InputImagePart | InputFilePart | InputAudioPart


class InputMessageItem(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message to the assistant."""

    id: str
    role: Literal["user", "system", "developer"]
    content: tuple[InputPart, ...]
    status: Literal["completed"] = "completed"


class CallOutputItem(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """The result of a tool call."""

    id: str
    call_id: str
    output: str | tuple[InputPart, ...]
    status: Literal["completed"] = "completed"


Item = InputMessageItem | MessageItem | FunctionCallItem | CallOutputItem | dict[str, Any]
"""An item. A dict is an item that is passed on unchanged."""


class ItemList(msgspec.Struct, frozen=True):
    """A page of items.

    Attributes:
        data: The items, each an `Item`.
        first_id: The id of the first item; "" if there are none.
        last_id: The id of the last item; "" if there are none.
        has_more: Whether there are more items after these.
    """

    data: tuple[Any, ...]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"
