"""OpenAI's items of conversations and of inputs, and lists of them."""

from typing import Any, Literal

import msgspec

from miniagents.ext.wire.openai_responses import FunctionCallItem, MessageItem


class InputTextPart(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """Text."""

    text: str


class InputImagePart(msgspec.Struct, frozen=True, tag="input_image", tag_field="type"):
    """An image."""

    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto"] = "auto"


class InputFilePart(msgspec.Struct, frozen=True, tag="input_file", tag_field="type", omit_defaults=True):
    """A file."""

    filename: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class Sound(msgspec.Struct, frozen=True):
    """Sound, in base64."""

    data: str
    format: str


class InputAudioPart(msgspec.Struct, frozen=True, tag="input_audio", tag_field="type"):
    """Sound."""

    input_audio: Sound


InputPart = InputTextPart | InputImagePart | InputFilePart | InputAudioPart


class InputMessageItem(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message to the assistant."""

    id: str
    role: Literal["user", "system", "developer"]
    content: tuple[InputPart, ...]
    status: Literal["completed"] = "completed"


class CallOutputItem(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """What a tool answered."""

    id: str
    call_id: str
    output: str | tuple[InputPart, ...]
    status: Literal["completed"] = "completed"


Item = InputMessageItem | MessageItem | FunctionCallItem | CallOutputItem | dict[str, Any]
"""An item; as a dict, one that is passed on as it came."""


class ItemList(msgspec.Struct, frozen=True):
    """A page of items.

    Attributes:
        data: The items, each an `Item`.
        first_id: The id of the first one; "" if there is none.
        last_id: The id of the last one; "" if there is none.
        has_more: Whether there are more after them.
    """

    data: tuple[Any, ...]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"
