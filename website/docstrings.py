"""An extension of Griffe, which reads the docstrings for the reference: an example is shown as code."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)Example:$", re.M)


class Examples(griffe.Extension):
    """Takes the section `Example:` of a docstring for what Griffe calls `Examples:`, which it shows as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rename the section in the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
