"""`effort=` for Anthropic's models: earlier ones think with a budget of tokens, later ones with an effort."""

import re
from typing import Any

_WITH_BUDGET = re.compile(r"(^|[./@-])claude-(3|(sonnet|opus|haiku)-4(-[015])?(-\d{8}|@|$|-v|-latest))")
"""The models whose thinking has a budget of tokens: Claude 3.7 to Claude 4.5."""
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}
"""The tokens for thinking, by effort. The API takes 1,024 and more."""


def set_effort(options: dict[str, Any], model: str) -> None:
    """Turn the option `effort` into the parameters of the API.

    "none" turns thinking off. A model with a budget gets one, and that much more `max_tokens`, since these include
    thinking. Later models get `output_config.effort`, and adaptive thinking. Parameters that the user has given
    (`thinking=`, `output_config=`) stay.

    Args:
        options: The options of the request, which are changed.
        model: The provider's name of the model.
    """
    effort = options.pop("effort", None)
    if effort is None:
        return
    if effort == "none":
        options.setdefault("thinking", {"type": "disabled"})
    elif _WITH_BUDGET.search(model):
        if "thinking" not in options:
            budget = _BUDGETS[effort]
            options["thinking"] = {"type": "enabled", "budget_tokens": budget}
            options["max_tokens"] = options["max_tokens"] + budget
    else:
        level = "low" if effort == "minimal" else effort
        options["output_config"] = {"effort": level, **(options.get("output_config") or {})}
        options.setdefault("thinking", {"type": "adaptive"})
