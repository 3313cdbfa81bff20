"""`Cloud`: the clouds that sell models of OpenAI and Anthropic, through the official SDKs' own clients."""

import contextlib
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from miniagents.errors import InvalidOptionError, MissingKeyError
from miniagents.ext.llms.providers.clients import sdk
from miniagents.ext.llms.providers.shared_client import SharedClient
from miniagents.messages import Secret

OPTIONS = frozenset({"provider", "region", "project", "api_version"})
"""The options of agents that choose a cloud."""

AZURE_API_VERSION = "2024-10-21"
"""The default of `api_version`, the newest stable version of Azure's data plane."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place where a cloud serves a model.

    Attributes:
        base_url: The address; None for the address of the region, or the one in the environment.
        api_key: A key or token; None for the credentials in the environment.
        region: The region; None for the region in the environment.
        project: The project; None for the project in the environment.
        api_version: The version of the API; None for the one in the environment, or the default.
    """

    base_url: str | None = None
    api_key: Secret | None = None
    region: str | None = None
    project: str | None = None
    api_version: str | None = None

    @property
    def key(self) -> str | None:
        """The key in plain text."""
        return self.api_key.reveal().strip() if self.api_key is not None else None


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud that sells the models of one SDK.

    Attributes:
        name: Its name in logs and errors, that of OpenTelemetry.
        package: The package of the SDK.
        client: The class of the client.
        needs: A package that the client needs, and the extra that installs it; None if it needs none.
        takes: The options that choose the place.
        arguments: The arguments of the client, from the place.
        credentials: The sources of the credentials, for errors.
        warmed: A module and a function of it that is called before the first request, since it takes long.
    """

    name: str
    package: str
    client: str
    needs: tuple[str, str] | None
    takes: frozenset[str]
    arguments: Callable[[Place], dict[str, Any]]
    credentials: str
    warmed: tuple[str, str] | None = None

    def shared_client(self, place: Place, path: str) -> SharedClient:
        """Return a client that is made in a thread, with the first request.

        Args:
            place: Where the model is served.
            path: The path of the agent, for errors.
        """

        def make() -> Any:
            own = sdk(self.package, self.package)
            if self.needs is not None:
                sdk(*self.needs)
            if self.warmed is not None:
                module, function = self.warmed
                with contextlib.suppress(Exception):  # the SDK does it again, and says what is wrong
                    getattr(importlib.import_module(module), function)()
            arguments = {name: value for name, value in self.arguments(place).items() if value is not None}
            try:
                return getattr(own, self.client)(max_retries=0, **arguments)
            except (ValueError, getattr(own, "OpenAIError", ValueError)) as error:
                kind = MissingKeyError if "credentials" in str(error).lower() else InvalidOptionError
                raise kind(f"{path}: {self.name}: {error}") from error

        return SharedClient(make, self.needs[1] if self.needs is not None else self.package)


def cloud_of(
    clouds: Mapping[str, Cloud], options: dict[str, Any], place: Place, path: str
) -> tuple[Cloud, Place] | None:
    """Take the options of a cloud out of the parameters of an API call, and return the cloud and the place.

    Args:
        clouds: The clouds of the agent, by the value of `provider`.
        options: The parameters, from which those of `OPTIONS` are removed.
        place: The address and the key.
        path: The path of the agent, for errors.

    Returns:
        The cloud and the place; None without `provider`.

    Raises:
        InvalidOptionError: The agent has no such cloud, or the cloud takes no such option.
    """
    given = {name: value for name in OPTIONS if (value := options.pop(name, None)) is not None}
    name = given.pop("provider", None)
    if name is not None and name not in clouds:
        raise InvalidOptionError(f"{path}: provider= is one of {', '.join(map(repr, clouds))} here, not {name!r}")
    cloud = clouds[name] if name is not None else None
    unknown = given.keys() - (cloud.takes if cloud is not None else frozenset())
    if unknown:
        raise InvalidOptionError(f"{path}: {min(unknown)}= is not for provider={name!r}")
    return (cloud, Place(place.base_url, place.api_key, **given)) if cloud is not None else None


def _azure(place: Place) -> dict[str, Any]:
    version = place.api_version or os.environ.get("OPENAI_API_VERSION") or AZURE_API_VERSION
    return {"azure_endpoint": place.base_url, "api_key": place.key, "api_version": version}


OPENAI_CLOUDS: Mapping[str, Cloud] = {
    "azure": Cloud(
        name="azure.ai.openai",
        package="openai",
        client="AsyncAzureOpenAI",
        needs=None,
        takes=frozenset({"api_version"}),
        arguments=_azure,
        credentials="api_key=, AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN",
    ),
    "bedrock": Cloud(
        name="aws.bedrock",
        package="openai",
        client="AsyncBedrockOpenAI",
        needs=("botocore", "bedrock"),
        takes=frozenset({"region"}),
        arguments=lambda place: {"base_url": place.base_url, "api_key": place.key, "aws_region": place.region},
        credentials="api_key=, AWS_BEARER_TOKEN_BEDROCK or the credentials of boto3",
    ),
}

ANTHROPIC_CLOUDS: Mapping[str, Cloud] = {
    "bedrock": Cloud(
        name="aws.bedrock",
        package="anthropic",
        client="AsyncAnthropicBedrock",
        needs=("boto3", "bedrock"),
        takes=frozenset({"region"}),
        arguments=lambda place: {"base_url": place.base_url, "api_key": place.key, "aws_region": place.region},
        credentials="api_key=, AWS_BEARER_TOKEN_BEDROCK or the credentials of boto3",
        warmed=("anthropic.lib.bedrock._stream_decoder", "get_response_stream_shape"),
    ),
    "vertex": Cloud(
        name="gcp.vertex_ai",
        package="anthropic",
        client="AsyncAnthropicVertex",
        needs=("google.auth", "vertex"),
        takes=frozenset({"region", "project"}),
        arguments=lambda place: {
            "base_url": place.base_url,
            "access_token": place.key,
            "region": place.region,
            "project_id": place.project,
        },
        credentials="api_key= (an access token), or the application default credentials of Google",
    ),
}
