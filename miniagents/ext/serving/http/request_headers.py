"""The headers of a request, read from its ASGI scope. Most of those that a service looks for are absent."""

from starlette.types import Scope


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of a header, in order.

    Starlette's `Headers` copies and compares more, and raises an exception for an absent header (benchmark `serving`).

    Args:
        scope: The request.
        name: The name, in lower case.

    Returns:
        The values; [] if the request does not have the header.

    Example:
        >>> header_values({"headers": [(b"host", b"localhost")]}, b"host")
        ['localhost']
    """
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first value of a header, or None.

    Args:
        scope: The request.
        name: The name, in lower case.
    """
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")  # type: ignore[no-any-return]
    return None
