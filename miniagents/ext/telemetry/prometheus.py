"""`metrics_app` and `metrics_route`: the metrics for Prometheus.

`PrometheusMetricReader` of opentelemetry-exporter-prometheus puts the metrics into a registry, which these serve.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.routing import Route

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]
_App = Callable[[_Event, _Receive, _Send], Awaitable[None]]


class MetricsApp:
    """An ASGI app that answers with the metrics of a registry, in the requested format.

    The app has no authentication; the app that it is mounted in must restrict access.

    Args:
        registry: The registry; None for that of the process, which `PrometheusMetricReader()` fills.

    Raises:
        MissingDependencyError: The exporter is not installed.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        try:
            from prometheus_client import REGISTRY, make_asgi_app
        except ImportError as error:
            raise MissingDependencyError(
                "this needs the package opentelemetry-exporter-prometheus: pip install it", name="prometheus_client"
            ) from error
        self._app: _App = make_asgi_app(REGISTRY if registry is None else registry)

    async def __call__(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)


def metrics_app(registry: "CollectorRegistry | None" = None) -> MetricsApp:
    """Return an ASGI app that answers with the metrics; see `MetricsApp`.

    Args:
        registry: The registry; None for that of the process.

    Example:
        >>> from prometheus_client import CollectorRegistry
        >>> app = metrics_app(CollectorRegistry())
    """
    return MetricsApp(registry)


def metrics_route(path: str = "/metrics", registry: "CollectorRegistry | None" = None) -> "Route":
    """Return a route for Starlette and FastAPI that answers GET with the metrics.

    Args:
        path: The path of the route.
        registry: The registry; None for that of the process.

    Raises:
        MissingDependencyError: The exporter or Starlette is not installed.

    Example:
        >>> metrics_route("/metrics").path
        '/metrics'
    """
    try:
        from starlette.routing import Route
    except ImportError as error:
        raise MissingDependencyError(
            "this needs the package starlette: pip install 'miniagents[serve]'", name="starlette"
        ) from error
    return Route(path, MetricsApp(registry), methods=["GET"], include_in_schema=False)
