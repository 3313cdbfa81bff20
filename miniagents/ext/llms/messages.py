"""Messages of conversations with models: tool calls and their results, images, files, sound, vectors, and replies."""

import base64
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

import msgspec

from miniagents.errors import OutputError
from miniagents.ext.llms.blocks import blocks_in
from miniagents.ext.llms.parts import Citation, ReasoningMessage, tokens_of
from miniagents.ext.llms.schemas import OutputType, output_type_called
from miniagents.messages import AssistantMessage, Message, TextToken
from miniagents.messages.standard import TextMessage

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # that of `typing` knows `default=` from Python 3.13 on

    OutputT_co = TypeVar("OutputT_co", default=Any, covariant=True)
else:
    from typing import TypeVar

    OutputT_co = TypeVar("OutputT_co", covariant=True)

UNNAMED = "file"
"""The name of a file that has none."""

_TEXTS = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The tokens that one request used.

    Attributes:
        input_tokens: Tokens read, cached ones included.
        output_tokens: Tokens written, those of reasoning included.
        cached_tokens: The part of `input_tokens` that came from the provider's cache.
        reasoning_tokens: The part of `output_tokens` that is reasoning.
        cache_written_tokens: The part of `input_tokens` that was written to the provider's cache.
        service_tier: The tier that served the request, as the provider says: "flex", "priority", "batch", or "fast" for
            Anthropic's fast mode. None for the standard one.
        estimated: Whether the numbers are estimates: the request was cut off, or the provider sent no usage.

    Example:
        >>> Usage(input_tokens=12, output_tokens=5).total_tokens
        17
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    reasoning_tokens: int = 0
    cache_written_tokens: int = 0
    service_tier: str | None = None

    @property
    def total_tokens(self) -> int:
        """The sum of input and output."""
        return self.input_tokens + self.output_tokens


class ToolCall(Message):
    """A call of a tool by a model.

    Attributes:
        id: The id that the provider gave the call. The result has the same id.
        name: The name of the tool.
        arguments: The arguments, as the JSON text that the model wrote.

    Example:
        >>> print(ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": 2}'))
        add({"a": 1, "b": 2})
    """

    id: str
    name: str
    arguments: str = "{}"

    def __str__(self) -> str:
        return f"{self.name}({self.arguments})"


class ToolResultMessage(TextMessage):
    """The result of a tool call.

    Attributes:
        content: The answer of the tool; without an answer, `cancelled` or `failed` with the reason.
        call_id: The id of the call.
        name: The name of the tool.
        is_error: Whether the tool has not answered.
        parts: The parts of an answer that is more than text, in order: texts, images, files. Models get the parts
            instead of `content`.

    Example:
        >>> result = ToolResultMessage("3", call_id="call_1", name="add")
        >>> print(result, result.is_error)
        3 False
    """

    is_aside: ClassVar[bool] = True

    role: str | None = "tool"
    call_id: str = ""
    name: str = ""
    is_error: bool = False
    parts: tuple[Message, ...] = ()


class ReplyMessage(AssistantMessage, Generic[OutputT_co]):
    """The reply of a model. `ReplyMessage[Person]` is one whose `output` is a `Person`, for type checkers.

    Attributes:
        content: The text; the JSON of structured output.
        tool_calls: The calls of tools that the model makes.

    Example:
        >>> reply = ReplyMessage("", tool_calls=(ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": 2}'),))
        >>> print(reply, reply.usage.total_tokens)
        add({"a": 1, "b": 2}) 0
    """

    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def is_aside(self) -> bool:  # type: ignore[override]  # of other classes it is known beforehand
        """True if the reply has no text, but calls tools or other parts."""
        return not self.content and (bool(self.tool_calls) or bool(self.parts))

    @property
    def parts(self) -> tuple[Message, ...]:
        """The parts that are neither text nor tool calls, in the provider's order: `ReasoningMessage`s,
        `HostedToolCall`s, `HostedToolResult`s, `Citation`s, and `NativeMessage`s for all others."""
        blocks = blocks_in(self.metadata)
        return blocks.parts if blocks is not None else ()

    @property
    def reasoning(self) -> str:
        """The reasoning of the model, as far as the provider shows it; "" if there is none."""
        return "\n\n".join(
            part.content for part in self.parts if isinstance(part, ReasoningMessage) and not part.is_hidden
        )

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources that the text cites, in order."""
        return tuple(part for part in self.parts if isinstance(part, Citation))

    @property
    def usage(self) -> Usage:
        """The tokens that the request used; zeros if they are not known."""
        return Usage(**self.metadata.get("usage", {}))

    @property
    def stop_reason(self) -> str | None:
        """The reason why the model stopped, in the provider's word: `stop`, `length`, `end_turn`, `tool_use`, ..."""
        return self.metadata.get("stop_reason")

    @property
    def refusal(self) -> str | None:
        """The text of a refusal, if the provider tells refusals from answers; otherwise None."""
        return self.metadata.get("refusal")

    @property
    def model(self) -> str | None:
        """The provider's name of the model."""
        return self.metadata.get("model")

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return self.metadata.get("request_id")

    @property
    def agent_alias(self) -> str | None:
        """The alias of the agent."""
        return self.metadata.get("agent_alias")

    @property
    def output(self) -> OutputT_co:
        """The structured output: an instance of the agent's `output=` type, decoded from the text.

        Raises:
            OutputError: The agent has no `output=`, or the text does not fit the type.
        """
        decoded: Any = self._output_type().decode(self.content)
        return decoded  # type: ignore[no-any-return]

    @property
    def output_json(self) -> bytes:
        """The structured output as JSON in one line. The object around a value that is no object is left out.

        Raises:
            OutputError: See `output`.
        """
        return self._output_type().json(self.content)

    def _output_type(self) -> OutputType:
        name = self.metadata.get("output_type")
        if name is None:
            raise OutputError(f"{self.agent_alias or 'this message'}: has no structured output: give the agent output=")
        return output_type_called(name)

    def message_to_tokens(self) -> tuple[Any, ...]:
        """Return the tokens of the parts, and then the text as one token; tool calls have no tokens."""
        text = (TextToken(self.content),) if self.content else ()
        return (*(token for part in self.parts for token in tokens_of(part)), *text)

    def __str__(self) -> str:
        if self.tool_calls and not self.content:
            return "\n".join(map(str, self.tool_calls))
        return self.content


class _Attachment(Message):
    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    role: str | None = "user"
    file_id: str | None = None

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None, **fields: Any) -> Self:
        """Make the message of a file.

        Args:
            path: The file.
            media_type: The media type, "image/png"; None for the one that the name of the file implies.
            **fields: Other fields of the message.

        Raises:
            ValueError: The name of the file implies no media type.
        """
        path = Path(path)
        media_type = media_type or mimetypes.guess_type(path.name)[0]
        if media_type is None:
            raise ValueError(f"{path}: the name implies no media type: give media_type=")
        return cls(data=path.read_bytes(), media_type=media_type, **fields)

    def __post_init__(self) -> None:
        if [self.url, self.data, self.file_id].count(None) != 2:
            raise ValueError(f"{type(self).__name__} takes one of url=, data= and file_id=")
        if self.data is not None and self.media_type is None:
            raise ValueError(f"{type(self).__name__}(data=) needs media_type=, such as 'image/png'")

    @property
    def base64(self) -> str:
        """The data in base64."""
        return base64.b64encode(self.data or b"").decode()

    @property
    def data_url(self) -> str:
        """The URL, or a data URL with the data. A message with a `file_id` has neither."""
        return self.url if self.url is not None else f"data:{self.media_type};base64,{self.base64}"


class ImageMessage(_Attachment):
    """An image that a user shows a model.

    Attributes:
        url: The address of the image. One of `url`, `data` and `file_id` is given.
        data: The bytes of the image.
        media_type: The media type of `data`: "image/png".
        file_id: The id of the image at the provider.
        role: The role of the speaker.

    Example:
        >>> image = ImageMessage(data=b"GIF89a", media_type="image/gif")
        >>> print(image, image.data_url)
        [image: image/gif] data:image/gif;base64,R0lGODlh
    """

    def __str__(self) -> str:
        return f"[image: {self.url or self.media_type or self.file_id}]"


class FileMessage(_Attachment):
    """A file that a user gives a model, such as a PDF.

    Attributes:
        url: The address of the file. One of `url`, `data` and `file_id` is given.
        data: The bytes of the file.
        media_type: The media type of `data`: "application/pdf".
        file_id: The id of the file at the provider.
        role: The role of the speaker.
        filename: The name of the file.
        context: A text about the file for the model, or None.

    Example:
        >>> note = FileMessage(data=b"Closed on Mondays.", media_type="text/plain", filename="note.txt")
        >>> print(note, note.text)
        [file: note.txt] Closed on Mondays.
    """

    filename: str = UNNAMED
    context: str | None = None

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None, **fields: Any) -> Self:
        """Make the message of a file, with the name of the file."""
        return super().from_file(path, media_type, **{"filename": Path(path).name, **fields})

    @property
    def text(self) -> str | None:  # type: ignore[override]  # a file may have none
        """The text of the file, if its media type is a text; None for other files, which APIs take as they are."""
        if self.data is None or self.media_type is None:
            return None
        kind = self.media_type.partition(";")[0].strip().lower()
        return self.data.decode(errors="replace") if kind.startswith("text/") or kind in _TEXTS else None

    @property
    def about(self) -> str:
        """The line before the text of the file: its name and its `context`."""
        return ": ".join(part for part in (self.filename, self.context) if part)

    def __str__(self) -> str:
        return f"[file: {self.filename}]"


class AudioMessage(_Attachment):
    """Sound that a user sends a model.

    Attributes:
        data: The bytes.
        media_type: The media type: "audio/wav" or "audio/mpeg".
        role: The role of the speaker.

    Example:
        >>> print(AudioMessage(data=b"RIFF", media_type="audio/wav"))
        [audio: wav]
    """

    @property
    def format(self) -> str:
        """The format in OpenAI's words: `wav` or `mp3`."""
        return "mp3" if self.media_type in ("audio/mpeg", "audio/mp3") else "wav"

    def __str__(self) -> str:
        return f"[audio: {self.format}]"


class EmbeddingMessage(Message):
    """A text as a vector.

    Attributes:
        embedding: The vector.

    Example:
        >>> EmbeddingMessage(embedding=(0.6, 0.8)).with_metadata(model="text-embedding-3-small").model
        'text-embedding-3-small'
    """

    embedding: tuple[float, ...]

    @property
    def model(self) -> str | None:
        """The model that made the vector."""
        return self.metadata.get("model")


def text_of(messages: Iterable[Message]) -> str:
    """Return the text of all messages, for estimates."""
    return "\n".join(str(message) for message in messages)
