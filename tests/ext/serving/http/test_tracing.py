"""What OpenTelemetry sees of a service, and Prometheus."""

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from miniagents.ext.serving import agent_app
from miniagents.ext.telemetry import instrument
from tests.ext.serving.agents import echo
from tests.ext.serving.servers import ADMIN, ADMIN_AUTH, AUTH, TOKEN, in_process
from tests.ext.telemetry.seen import Seen

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_operators_get_the_metrics_and_clients_do_not() -> None:
    registry = CollectorRegistry()
    meters = MeterProvider(metric_readers=[PrometheusMetricReader(registry=registry)])
    app = agent_app(echo, auth=TOKEN, admin_auth=ADMIN, metrics=registry)
    with instrument(app.system, meter_provider=meters):
        async with in_process(app) as client:
            await client.post("/agents/echo", json={"messages": "Hi"})
            shown = await client.get("/metrics", headers=ADMIN_AUTH)
            refused = [await client.get("/metrics"), await client.get("/metrics", headers={"authorization": ""})]
            document = (await client.get("/openapi.json")).json()
    meters.shutdown()

    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/plain")
    assert "gen_ai_invoke_agent_duration_seconds_count" in shown.text
    assert [one.status_code for one in refused] == [401, 401]
    assert document["paths"]["/metrics"]["get"]["security"] == [{"admin": []}]


async def test_metrics_true_shows_those_of_the_process() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None, metrics=True)) as client:
        assert "python_info" in (await client.get("/metrics")).text


async def test_without_being_asked_for_there_are_no_metrics() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=ADMIN)) as client:
        assert (await client.get("/metrics", headers=ADMIN_AUTH)).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/agents/echo", {"messages": "Hi"}),
        ("/agents/echo", {"messages": "Hi", "conversation": "c1"}),
        ("/v1/responses", {"model": "echo", "input": "Hi"}),
    ],
)
async def test_the_span_of_a_call_has_the_clients_span_as_its_parent(path: str, body: Any) -> None:
    seen = Seen()
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    with instrument(app.system, tracer_provider=seen.tracer_provider):
        async with in_process(app) as client:
            await client.post(path, json=body, headers={"traceparent": PARENT, "tracestate": "shop=1"})

    (span,) = seen.spans
    assert span.name == "invoke_agent echo"
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == PARENT[3:-3]
    assert span.context.trace_state["shop"] == "1"


@pytest.mark.parametrize("header", ["", "garbage", "00-0-0-00", "ff-" + "f" * 32 + "-" + "f" * 16 + "-01", "é" * 999])
async def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(header: str) -> None:
    seen = Seen()
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    with instrument(app.system, tracer_provider=seen.tracer_provider):
        async with in_process(app) as client:
            headers: Any = {**AUTH, "traceparent": header.encode("latin-1")}
            answer = await client.post("/agents/echo", json={}, headers=headers)

    (span,) = seen.spans
    assert answer.status_code == 200
    assert span.parent is None


async def test_a_span_of_the_server_is_the_parent_before_that_of_the_client() -> None:
    seen = Seen()
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    tracer = seen.tracer

    class Instrumented:
        lifespan = app.lifespan

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with tracer.start_as_current_span("POST"):
                await app(scope, receive, send)

    with instrument(app.system, tracer_provider=seen.tracer_provider):
        async with in_process(Instrumented()) as client:  # type: ignore[arg-type]
            await client.post("/agents/echo", json={}, headers={"traceparent": PARENT})

    by_name = {span.name: span for span in seen.spans}
    parent = by_name["invoke_agent echo"].parent
    assert parent is not None
    assert parent.span_id == by_name["POST"].context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_service_without_telemetry_loads_none_of_it() -> None:
    code = (
        "import sys, miniagents.ext.serving; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus_client'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"
