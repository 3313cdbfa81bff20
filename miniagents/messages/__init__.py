"""Messages: immutable and typed, with content hashes and a wire format; and the promises of messages."""

from miniagents.messages.frozen import EMPTY, FrozenDict, freeze
from miniagents.messages.message import Message, MessagePromise, Request, TextMessage, to_json
from miniagents.messages.registry import register_value_type, register_wire_type
from miniagents.messages.secret import Secret
from miniagents.messages.sendable import Sendable, to_message
from miniagents.messages.sequence import (
    Messages,
    MessageSequence,
    MessageSequenceAppender,
    MessageSequencePromise,
)
from miniagents.messages.single_text import as_single_text_promise
from miniagents.messages.standard import (
    AssistantMessage,
    DataMessage,
    ErrorMessage,
    SystemMessage,
    UserMessage,
    error_text,
    said_by,
)
from miniagents.messages.tokens import MessageTokenAppender, TextToken, Token
from miniagents.messages.wire import decode, encode

__all__ = [
    "EMPTY",
    "AssistantMessage",
    "DataMessage",
    "ErrorMessage",
    "FrozenDict",
    "Message",
    "MessagePromise",
    "MessageSequence",
    "MessageSequenceAppender",
    "MessageSequencePromise",
    "MessageTokenAppender",
    "Messages",
    "Request",
    "Secret",
    "Sendable",
    "SystemMessage",
    "TextMessage",
    "TextToken",
    "Token",
    "UserMessage",
    "as_single_text_promise",
    "decode",
    "encode",
    "error_text",
    "freeze",
    "register_value_type",
    "register_wire_type",
    "said_by",
    "to_json",
    "to_message",
]
