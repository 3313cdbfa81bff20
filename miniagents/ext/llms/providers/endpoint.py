"""`Endpoint`: the failures of a provider's requests as errors of this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniagents.errors import AuthenticationError, ProviderError
from miniagents.ext.llms.providers.clients import sdk
from miniagents.ext.llms.providers.error_mapping import connection_failure, malformed, status_failure
from miniagents.ext.llms.providers.reading import Failed, Unreadable
from miniagents.ext.llms.providers.redacting import redactor_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The provider that requests go to.

    Attributes:
        name: The name of the provider in errors.
        package: The package of the SDK, and the extra that installs it.
        key_source: The name of the argument or of the environment variable that the key came from.
        is_cloud: Whether the SDK gets the credentials of a cloud before it sends a request.
    """

    name: str
    package: str
    key_source: str
    is_cloud: bool = False

    def failure(self, error: Exception, response: Any) -> ProviderError | None:
        """Return the error of this package for a failed request; None if the failure is not the provider's.

        Args:
            error: The exception that was raised. It becomes the cause, unless it shows a key.
            response: The response of httpx, or None if there is none.
        """
        own, httpx = sdk(self.package, self.package), sdk("httpx2", self.package)
        request = response.request if response is not None else getattr(error, "request", None)
        redacted = redactor_of(request)
        headers: Mapping[str, str] = redacted(dict(response.headers)) if response is not None else {}
        failure: ProviderError
        if isinstance(error, own.APIStatusError):
            error_headers = redacted(dict(error.response.headers))
            failure = status_failure(
                self.name,
                error.status_code if error.status_code >= 400 else None,  # Bedrock fails in the middle of a stream
                redacted(error.body),
                error_headers,
                redacted(str(error)),
                key_source=self.key_source,
            )
        elif isinstance(error, Failed):
            failure = status_failure(
                self.name,
                None,
                redacted(error.body),
                headers,
                str(error),
                key_source=self.key_source,
                should_retry=error.should_retry,
            )
        elif isinstance(error, Unreadable):
            failure = malformed(self.name, redacted(str(error)))
        elif isinstance(error, (own.APIConnectionError, httpx.RequestError, httpx.StreamError)):
            cause = error.__cause__ or error
            text = redacted(str(cause)) or type(cause).__name__
            was_reached = not isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol))
            failure = connection_failure(self.name, text, has_begun=response is not None, was_reached=was_reached)
        elif isinstance(error, own.APIError):
            failure = malformed(self.name, redacted(str(error)))
        elif isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":
            return AuthenticationError(
                f"{self.name}: {self.key_source} has a letter that no HTTP header can carry: is it the key?"
            )
        elif self.is_cloud and (type(error) is RuntimeError or _comes_from(error, "botocore", "google")):
            text = redacted(str(error))
            if type(error).__name__ == "TransportError":  # google's servers of tokens cannot be reached
                failure = connection_failure(self.name, text, has_begun=False, was_reached=False)
            else:
                failure = AuthenticationError(f"{self.name}: no credentials: {text}; give {self.key_source}")
        else:
            return None
        failure.__cause__ = None if redacted.shows_in(error) or isinstance(error, (Failed, Unreadable)) else error
        return failure


def _comes_from(error: Exception, *packages: str) -> bool:
    return type(error).__module__.partition(".")[0] in packages
