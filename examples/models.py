"""The model of the examples: MODEL=local (the default), openai:<model> or anthropic:<model>."""

import importlib.util
import os

from miniagents.errors import MissingDependencyError
from miniagents.ext.llms import AnthropicAgent, LLMAgent, LocalAgent, OpenAIAgent
from miniagents.ext.llms.local import default_model

LOCAL = "local"
PROVIDERS = ("openai", "anthropic")


class ModelMissingError(Exception):
    """The model cannot be used; the text says what to do."""


def model_of(name: str | None = None, *, max_tokens: int = 400) -> LLMAgent:
    """Return the agent of a model, after checking that the model can be used.

    Args:
        name: "local", "openai:<model>" or "anthropic:<model>"; None for the environment variable MODEL.
        max_tokens: The most tokens of an answer.

    Raises:
        ModelMissingError: A package or a key is missing, or the name is invalid.
    """
    name = name or os.environ.get("MODEL") or LOCAL
    provider, _, model = name.partition(":")
    if name != LOCAL and (provider not in PROVIDERS or not model):
        raise ModelMissingError(f"MODEL={name}: must be local, openai:<model> or anthropic:<model>")
    for package in ("xllamacpp", "openai") if name == LOCAL else (provider,):
        if importlib.util.find_spec(package) is None:
            raise ModelMissingError(f"MODEL={name} needs the package {package}: pip install {package}")
    if name == LOCAL:
        try:
            default_model()
        except MissingDependencyError as error:
            raise ModelMissingError(f"{error} (or set MODEL=openai:<model> with a key)") from error
        return LocalAgent.fork(temperature=0, max_tokens=max_tokens)
    if not os.environ.get(f"{provider.upper()}_API_KEY"):
        raise ModelMissingError(f"MODEL={name} needs {provider.upper()}_API_KEY in the environment")
    if provider == "openai":
        return OpenAIAgent.fork(model=model, max_completion_tokens=max_tokens)
    return AnthropicAgent.fork(model=model, max_tokens=max_tokens)
