"""Messages of conversations with models: tool calls and their results, images, files, sound, vectors, and replies."""

import base64
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from miniagents.errors import OutputError
from miniagents.ext.llms.schemas import OutputType, output_type_called
from miniagents.messages import AssistantMessage, Message
from miniagents.messages.standard import TextMessage

UNNAMED = "file"
"""The name of a file that has none."""

_TEXTS = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one call used, in tokens.

    Attributes:
        input_tokens: Tokens read, cached ones included.
        output_tokens: Tokens written, those of reasoning included.
        cached_tokens: Those of the input that came from the provider's cache.
        estimated: Whether these are estimates: the call was cut, or the provider sent no usage.

    Example:
        >>> Usage(input_tokens=12, output_tokens=5).total_tokens
        17
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class ToolCall(Message):
    """A model asks for a tool.

    Attributes:
        id: The provider's id of the call; its result bears the same.
        name: The name of the tool.
        arguments: Its arguments, the JSON text that the model wrote.

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
    """What a tool answered.

    Attributes:
        content: The answer; where there is none, `cancelled` or `failed` with the reason.
        call_id: The id of the call that it answers.
        name: The name of the tool.
        is_error: Whether there is no answer.
        parts: All parts of the answer in their order, where it has more than text: texts, images, files. Models get
            these instead of `content`.

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


class ReplyMessage(AssistantMessage):
    """What a model replied.

    Attributes:
        content: Its text; where there is structured output, its JSON.
        tool_calls: The tools that it asks for.

    Example:
        >>> reply = ReplyMessage("", tool_calls=(ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": 2}'),))
        >>> print(reply, reply.usage.total_tokens)
        add({"a": 1, "b": 2}) 0
    """

    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def is_aside(self) -> bool:  # type: ignore[override]  # of other classes it is known beforehand
        """Whether it says nothing, and calls tools."""
        return bool(self.tool_calls) and not self.content

    @property
    def usage(self) -> Usage:
        """What the call used; zeros where nothing is known."""
        return Usage(**self.metadata.get("usage", {}))

    @property
    def stop_reason(self) -> str | None:
        """Why the model stopped, as the provider says it: `stop`, `length`, `end_turn`, `tool_use`, ..."""
        return self.metadata.get("stop_reason")

    @property
    def refusal(self) -> str | None:
        """What the model said instead of an answer, where the provider tells that apart."""
        return self.metadata.get("refusal")

    @property
    def model(self) -> str | None:
        """The model, as the provider calls it."""
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
    def output(self) -> Any:
        """Its structured output: an instance of the type that the agent has as `output=`, decoded from the text.

        Raises:
            OutputError: The agent has no `output=`, or the text is none of that type.
        """
        return self._output_type().decode(self.content)

    @property
    def output_json(self) -> bytes:
        """Its structured output as JSON in one line, without what a type that is no object is wrapped into.

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
        """Its text; the calls are no text."""
        from miniagents.messages import TextToken

        return (TextToken(self.content),) if self.content else ()

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
        """Read it from a file.

        Args:
            path: The file.
            media_type: What it is, "image/png"; None to tell it by the name.
            **fields: More fields.

        Raises:
            ValueError: What it is cannot be told by the name.
        """
        path = Path(path)
        media_type = media_type or mimetypes.guess_type(path.name)[0]
        if media_type is None:
            raise ValueError(f"{path}: what it is cannot be told by its name: give media_type=")
        return cls(data=path.read_bytes(), media_type=media_type, **fields)

    def __post_init__(self) -> None:
        if [self.url, self.data, self.file_id].count(None) != 2:
            raise ValueError(f"{type(self).__name__} takes one of url=, data= and file_id=")
        if self.data is not None and self.media_type is None:
            raise ValueError(f"{type(self).__name__}(data=) needs media_type=, such as 'image/png'")

    @property
    def base64(self) -> str:
        """Its data, in base64."""
        return base64.b64encode(self.data or b"").decode()

    @property
    def data_url(self) -> str:
        """Its URL, or its data as one; not for what a provider has by its id."""
        return self.url if self.url is not None else f"data:{self.media_type};base64,{self.base64}"


class ImageMessage(_Attachment):
    """An image that a user shows a model.

    Attributes:
        url: Where it is; or
        data: its bytes,
        media_type: and what they are: "image/png"; or
        file_id: its id at the provider.
        role: Who shows it.

    Example:
        >>> image = ImageMessage(data=b"GIF89a", media_type="image/gif")
        >>> print(image, image.data_url)
        [image: image/gif] data:image/gif;base64,R0lGODlh
    """

    def __str__(self) -> str:
        return f"[image: {self.url or self.media_type or self.file_id}]"


class FileMessage(_Attachment):
    """A file that a user gives a model, a PDF for one.

    Attributes:
        url: Where it is; or
        data: its bytes,
        media_type: and what they are: "application/pdf"; or
        file_id: its id at the provider.
        role: Who gives it.
        filename: Its name.
        context: What a model is told about it, or None.

    Example:
        >>> note = FileMessage(data=b"Closed on Mondays.", media_type="text/plain", filename="note.txt")
        >>> print(note, note.text)
        [file: note.txt] Closed on Mondays.
    """

    filename: str = UNNAMED
    context: str | None = None

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None, **fields: Any) -> Self:
        """Read it from a file, with its name."""
        return super().from_file(path, media_type, **{"filename": Path(path).name, **fields})

    @property
    def text(self) -> str | None:
        """Its text, where its bytes are one; APIs take other files as they are."""
        if self.data is None or self.media_type is None:
            return None
        kind = self.media_type.partition(";")[0].strip().lower()
        return self.data.decode(errors="replace") if kind.startswith("text/") or kind in _TEXTS else None

    @property
    def about(self) -> str:
        """What it is, as the line before its text: its name, and what is said about it."""
        return ": ".join(one for one in (self.filename, self.context) if one)

    def __str__(self) -> str:
        return f"[file: {self.filename}]"


class AudioMessage(_Attachment):
    """Sound that a user lets a model hear.

    Attributes:
        data: Its bytes.
        media_type: What they are: "audio/wav" or "audio/mpeg".
        role: Who speaks.

    Example:
        >>> print(AudioMessage(data=b"RIFF", media_type="audio/wav"))
        [audio: wav]
    """

    @property
    def format(self) -> str:
        """What it is, in OpenAI's words: `wav` or `mp3`."""
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
        """The model that made it."""
        return self.metadata.get("model")


def text_of(messages: Iterable[Message]) -> str:
    """The text of all messages, for estimates."""
    return "\n".join(str(message) for message in messages)
