"""`/metrics`, as Prometheus asks for it."""

import asyncio
import socket
from typing import Any

import httpx2
import pytest
import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from miniagents import MiniAgents
from miniagents.ext.telemetry import instrument, metrics_app, metrics_route
from miniagents.testing import Reply, Script, ScriptedModel


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if not name.startswith("otel_scope")}
            found.setdefault(sample.name, []).append((labels, sample.value))
    return found


@pytest.mark.real_time
async def test_a_service_shows_its_metrics_to_prometheus() -> None:
    registry = CollectorRegistry()
    provider = MeterProvider(metric_readers=[PrometheusMetricReader(registry=registry)])
    app = Starlette(routes=[metrics_route(registry=registry)])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
        try:
            async with MiniAgents() as system, httpx2.AsyncClient(trust_env=False) as client:
                instrument(system, meter_provider=provider)
                await ScriptedModel.fork(script=Script(Reply("one two", input_tokens=5))).inquire("Hi")
                response = await client.get(url)
                refused = await client.post(url)
        finally:
            server.should_exit = True
            await serving

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert refused.status_code == 405
    shown = samples(response.text)
    assert shown["miniagents_messages_handled_total"] == [({"miniagents_actor_type": "ScriptedModel"}, 1.0)]
    assert shown["gen_ai_invoke_agent_duration_seconds_count"] == [({"gen_ai_agent_name": "ScriptedModel"}, 1.0)]
    tokens = {labels["gen_ai_token_type"]: value for labels, value in shown["gen_ai_client_token_usage_sum"]}
    assert tokens == {"input": 5.0, "output": 2.0}
    provider.shutdown()


async def test_the_app_shows_what_is_in_its_registry_alone() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await metrics_app(CollectorRegistry())(scope, receive, send)

    assert [event.get("status") for event in sent] == [200, None]
    assert sent[1]["body"] == b""
