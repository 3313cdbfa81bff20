"""The replies of an agent as the contents of a tool's result."""

from collections.abc import Iterable
from urllib.parse import quote

from mcp_types import AudioContent, BlobResourceContents, ContentBlock, EmbeddedResource, ImageContent, TextContent

from miniagents.ext.llms.messages import AudioMessage, FileMessage, ImageMessage, ReplyMessage
from miniagents.messages import Message


def contents_of(replies: Iterable[Message]) -> list[ContentBlock]:
    """Return the contents for the client. Tool calls of the agent and their results are left out.

    Args:
        replies: The replies of the agent.

    Example:
        >>> from miniagents import TextMessage
        >>> contents_of([TextMessage("Sunny.")])[0].text
        'Sunny.'
    """
    return [block for reply in replies if not reply.is_aside and (block := _block_of(reply)) is not None]


def _block_of(reply: Message) -> ContentBlock | None:
    match reply:
        case ReplyMessage():
            return TextContent(text=reply.content) if reply.content else None
        case ImageMessage(data=bytes(), media_type=str(media_type)):
            return ImageContent(data=reply.base64, mime_type=media_type)
        case AudioMessage(data=bytes(), media_type=str(media_type)):
            return AudioContent(data=reply.base64, mime_type=media_type)
        case FileMessage(data=bytes(), media_type=media_type):
            uri = f"file:///{quote(reply.filename)}"
            return EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=media_type, blob=reply.base64))
        case _:
            return TextContent(text=str(reply))
