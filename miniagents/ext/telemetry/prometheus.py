"""The metrics in Prometheus' form, through OpenTelemetry's own exporter.

`PrometheusMetricReader` of opentelemetry-exporter-prometheus puts them into a registry; this serves it.
"""

from typing import TYPE_CHECKING, Any

from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.routing import Route


class MetricsApp:
    """An ASGI app that answers with the metrics of a registry, in the form that is asked for.

    Who may see them is for the app that it is mounted in.

    Args:
        registry: What it shows; None for that of the process, where `PrometheusMetricReader()` puts them.

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
        self._app: Any = make_asgi_app(REGISTRY if registry is None else registry)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)


def metrics_app(registry: "CollectorRegistry | None" = None) -> MetricsApp:
    """An ASGI app that answers with the metrics; see `MetricsApp`."""
    return MetricsApp(registry)


def metrics_route(path: str = "/metrics", registry: "CollectorRegistry | None" = None) -> "Route":
    """A route for Starlette and FastAPI that answers GET with the metrics.

    Args:
        path: Where.
        registry: What it shows; None for that of the process.

    Raises:
        MissingDependencyError: The exporter or Starlette is not installed.
    """
    try:
        from starlette.routing import Route
    except ImportError as error:
        raise MissingDependencyError(
            "this needs the package starlette: pip install 'miniagents[serve]'", name="starlette"
        ) from error
    return Route(path, MetricsApp(registry), methods=["GET"], include_in_schema=False)
