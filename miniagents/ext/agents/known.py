"""`known`: fields of a message, before or after it has arrived."""

import msgspec

from miniagents.messages import MessagePromise


def known(promise: MessagePromise, name: str) -> object:
    """Return a field or an entry of the metadata of a message; None if it is not known yet."""
    value: object = promise.known_beforehand.get(name)
    if value is None and promise.done() and promise.exception() is None:
        message = promise.result()
        value = getattr(message, name, None) or message.metadata.get(name)
    if value is None:
        defaults = {field.name: field.default for field in msgspec.structs.fields(promise.message_class)}
        default = defaults.get(name)
        value = default if isinstance(default, str) else None
    return value
