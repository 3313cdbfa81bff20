"""What is known of a message before it is there."""

from typing import Any

from miniagents.messages import MessagePromise


def known(promise: MessagePromise, name: str) -> Any:
    """A field or metadata of a message, as far as it is known already; None where it is not."""
    found = promise.known_beforehand.get(name)
    if found is None and promise.done() and promise.exception() is None:
        message = promise.result()
        found = getattr(message, name, None) or message.metadata.get(name)
    if found is None and name in promise.message_class.__struct_fields__:
        at = promise.message_class.__struct_fields__.index(name)
        defaults = promise.message_class.__struct_defaults__
        from_end = at - len(promise.message_class.__struct_fields__)
        if -from_end <= len(defaults) and isinstance(defaults[from_end], str):
            found = defaults[from_end]
    return found
