"""What is known of a message before it is there."""

from typing import Any

import msgspec

from miniagents.messages import MessagePromise


def known(promise: MessagePromise, name: str) -> Any:
    """A field or metadata of a message, as far as it is known already; None where it is not."""
    found = promise.known_beforehand.get(name)
    if found is None and promise.done() and promise.exception() is None:
        message = promise.result()
        found = getattr(message, name, None) or message.metadata.get(name)
    if found is None:
        defaults = {field.name: field.default for field in msgspec.structs.fields(promise.message_class)}
        default = defaults.get(name)
        found = default if isinstance(default, str) else None
    return found
