"""The contents that are no text: images, sound, files and data, as messages and for a front end."""

from typing import Any

import msgspec
from msgspec import UNSET

from miniagents.ext.llms.messages import UNNAMED, AudioMessage, FileMessage, ImageMessage
from miniagents.ext.llms.providers.openai_mapping import fields_of_url
from miniagents.ext.serving.http.json_messages import MessageOut
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.wants import Special
from miniagents.messages import Message


def media_message(media_type: str | None, url: str, where: str, filename: str | None = None) -> Message:
    """Return an image, sound or a file as a message.

    Args:
        media_type: The media type, "image/png" or "image"; None if it is not known.
        url: The URL, or a data URL.
        where: The field of the request, for errors.
        filename: The name of the file; None if it has none.

    Raises:
        Problem: 400: the URL is wrong, or sound has no data.

    Example:
        >>> print(media_message("image/gif", "data:image/gif;base64,R0lG", "file"))
        [image: image/gif]
    """
    try:
        fields = fields_of_url(url)
        if "data" in fields:
            fields["media_type"] = fields["media_type"] or media_type
        kind = (media_type or fields.get("media_type") or "").partition("/")[0]
        if kind == "image":
            return ImageMessage(**fields)
        if kind == "audio":
            if "data" not in fields:
                raise ValueError("sound must be a data URL")
            return AudioMessage(**fields)
        return FileMessage(filename=filename or UNNAMED, **fields)
    except ValueError as error:
        raise Problem(400, f"The content cannot be read: {error} ({where})", param=where, code="invalid") from None


def special_of(message: Message, type: str, where: str) -> Special | None:
    """Return the part of a request that not every agent takes; None if a message is none.

    Args:
        message: The message.
        type: The type of the part in the protocol.
        where: The field of the request.
    """
    return Special("audio", type, where) if isinstance(message, AudioMessage) else None


def media_fields(message: Message) -> dict[str, Any] | None:
    """Return the fields of an image, sound or a file for a client: `url`, `mediaType`, and the `filename` of a file.

    Returns:
        The fields; None for another message, and for one that has neither data nor a URL.

    Example:
        >>> media_fields(ImageMessage(data=b"GIF", media_type="image/gif"))
        {'url': 'data:image/gif;base64,R0lG', 'mediaType': 'image/gif'}
    """
    if not isinstance(message, (ImageMessage, AudioMessage, FileMessage)) or message.file_id is not None:
        return None
    kind = message.media_type or ("image/*" if isinstance(message, ImageMessage) else "application/octet-stream")
    fields = {"url": message.data_url, "mediaType": kind}
    if isinstance(message, FileMessage) and message.filename != UNNAMED:
        fields["filename"] = message.filename
    return fields


def data_fields(message: Message) -> Any:
    """Return the fields of a message for a client, without its metadata; those of a `DataMessage` are its data.

    Example:
        >>> from miniagents import DataMessage
        >>> data_fields(DataMessage({"city": "Paris"}))
        {'city': 'Paris'}
    """
    data = MessageOut.of(message).data
    return msgspec.json.decode(data) if data is not UNSET else {}
