"""Models that clouds sell: requests as Azure, Amazon Bedrock and Vertex AI take them, to a server of ours."""

import asyncio
import base64
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

from miniagents import MiniAgent, MiniAgents, UserMessage
from miniagents.errors import (
    AuthenticationError,
    InvalidOptionError,
    InvalidRequestError,
    MissingDependencyError,
    MissingKeyError,
    RateLimitedError,
)
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.ext.llms.windows import window_of
from tests.ext.llms.apis import ONCE
from tests.ext.llms.wire import DONE, chunk, end, event, message, start, text_block, tool_block

pytestmark = pytest.mark.real_time

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "a secret of the test"
AMAZON = "application/vnd.amazon.eventstream"


@dataclass
class Request:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class CloudServer:
    """A server on loopback that keeps each request as it came, and answers with the next answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[tuple[int, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                method, path, _ = first.split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                status, kind, answer = self.answers.pop(0)
                head = f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[CloudServer]:
    server = CloudServer()
    await server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No credentials and regions of the machine that runs the tests."""
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"),
        *("AWS_DEFAULT_REGION", "AWS_PROFILE", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION"),
        *("AZURE_OPENAI_ENDPOINT", "CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"),
        *("ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "google.json"))


def frame(payload: bytes, **headers: str) -> bytes:
    """A message in Amazon's framing: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html"""
    head = b"".join(
        struct.pack("!B", len(name) + 1) + f":{name.replace('_', '-')}".encode() + struct.pack("!BH", 7, len(value))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    return prelude + head + payload + struct.pack("!I", zlib.crc32(prelude + head + payload))


def frames(*events: Mapping[str, Any]) -> bytes:
    """A stream of events as Bedrock sends it."""
    return b"".join(
        frame(
            json.dumps({"bytes": base64.b64encode(json.dumps(data).encode()).decode()}).encode(),
            event_type="chunk",
            content_type="application/json",
            message_type="event",
        )
        for data in events
    )


def signature_of(request: Request, url: str, service: str, region: str) -> str:
    """The signature of a request, as Amazon computes it with the secret key."""
    names = ("botocore.auth", "botocore.awsrequest", "botocore.credentials")
    auth, awsrequest, credentials = (pytest.importorskip(name, reason="Amazon's signatures need it") for name in names)
    found = re.search(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    assert found is not None
    signed = {name: request.headers[name] for name in found[1].split(";")}
    signer = auth.SigV4Auth(credentials.Credentials(ACCESS_KEY, SECRET_KEY), service, region)
    again = awsrequest.AWSRequest(request.method, f"{url}{request.path}", data=request.body, headers=signed)
    again.context["timestamp"] = request.headers["x-amz-date"]
    text: str = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return text


def bedrock(server: CloudServer, region: str = "eu-west-1", **options: Any) -> MiniAgent:
    """An agent on Bedrock. The SDK keeps the credentials that it has found, for each region."""
    return AnthropicAgent.fork(
        model="eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        provider="bedrock",
        base_url=server.url,
        region=region,
        retry=ONCE,
        **options,
    )


async def test_bedrock_gets_signed_requests_and_its_stream_is_read(
    server: CloudServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    events = [start(), *text_block("Hello, "), *text_block("Ann!", index=1), *end()]
    server.answers = [(200, AMAZON, frames(*events))]
    async with MiniAgents():
        replies = bedrock(server, "eu-central-1", system="Be brief.").inquire("Hi")
        assert [str(token) async for token in aiter(await anext(aiter(replies)))] == ["Hello, ", "Ann!"]
        reply = (await replies)[0]
    assert reply.usage.output_tokens == 2  # type: ignore[attr-defined]
    (request,) = server.requests
    assert unquote(request.path) == "/model/eu.anthropic.claude-haiku-4-5-20251001-v1:0/invoke-with-response-stream"
    assert request.json["anthropic_version"] == "2026-10-21"
    assert request.json["system"] == "Be brief."
    assert "model" not in request.json
    authorization = request.headers["authorization"]
    assert f"Credential={ACCESS_KEY}/" in authorization
    assert "/eu-central-1/bedrock/aws4_request" in authorization
    assert authorization.endswith(f"Signature={signature_of(request, server.url, 'bedrock', 'eu-central-1')}")


async def test_a_signature_with_another_secret_is_another_one(
    server: CloudServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    server.answers = [(200, "application/json", json.dumps(message({"type": "text", "text": "Hi"})).encode())]
    async with MiniAgents():
        assert str(await bedrock(server, "eu-south-1", stream=False).inquire("Hi")) == "Hi"
    (request,) = server.requests
    assert request.path.endswith("/invoke")
    assert signature_of(request, server.url, "bedrock", "eu-south-1") not in request.headers["authorization"]


async def test_bedrock_takes_a_bearer_token_and_calls_tools(server: CloudServer) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    call = [start(), *tool_block("t1", "add", '{"a": 1, ', '"b": 2}'), *end("tool_use")]
    server.answers = [(200, AMAZON, frames(*call)), (200, AMAZON, frames(start(), *text_block("3"), *end()))]

    def add(a: int, b: int) -> int:
        return a + b

    async with MiniAgents():
        replies = await bedrock(server, api_key="a token of the test", tools=[add]).inquire("1 + 2")
    assert [str(reply) for reply in replies] == ['add({"a": 1, "b": 2})', "3", "3"]
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer a token of the test"] * 2
    assert server.requests[1].json["messages"][-1]["content"][0]["type"] == "tool_result"


async def test_an_error_in_a_stream_of_bedrock_is_the_error_that_it_is(server: CloudServer) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    failure = frame(
        b'{"message": "Too many tokens, please wait"}',
        exception_type="throttlingException",
        content_type="application/json",
        message_type="exception",
    )
    server.answers = [(200, AMAZON, frames(start()) + failure)]
    async with MiniAgents():
        with pytest.raises(RateLimitedError, match=r"aws\.bedrock: .*Too many tokens"):
            await bedrock(server, api_key="t").inquire("Hi")


async def test_bedrock_without_credentials_says_where_they_may_come_from(server: CloudServer) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    async with MiniAgents():
        with pytest.raises(AuthenticationError, match=r"aws\.bedrock: no credentials: .*AWS_BEARER_TOKEN_BEDROCK"):
            await bedrock(server, "eu-north-1").inquire("Hi")
    assert not server.requests


async def test_openais_models_on_bedrock_get_signed_requests(
    server: CloudServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3", reason="Bedrock needs boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    body = b"".join(event(part) for part in (chunk({"content": "Hi"}), chunk({}, "stop"))) + DONE
    server.answers = [(200, "text/event-stream", body)]
    async with MiniAgents():
        agent = OpenAIAgent.fork(
            model="openai.gpt-oss-20b-1:0", provider="bedrock", base_url=server.url, region="us-west-2"
        )
        assert str(await agent.inquire("Hi")) == "Hi"
    (request,) = server.requests
    assert request.path == "/chat/completions"
    scope = re.search(rf"Credential={ACCESS_KEY}/\d+/us-west-2/([\w-]+)/aws4_request", request.headers["authorization"])
    assert scope is not None
    assert request.headers["authorization"].endswith(signature_of(request, server.url, scope[1], "us-west-2"))


async def test_vertex_gets_a_bearer_token_and_its_own_path(server: CloudServer) -> None:
    pytest.importorskip("google.auth", reason="Vertex needs google-auth")
    events = b"".join(event(data) for data in [start(), *text_block("Hello!"), *end()])
    server.answers = [(200, "text/event-stream", events)]
    async with MiniAgents():
        agent = AnthropicAgent.fork(
            model="claude-haiku-4-5@20251001",
            provider="vertex",
            project="my-project",
            region="europe-west1",
            base_url=server.url,
            api_key="a token of the test",
        )
        assert str(await agent.inquire("Hi")) == "Hello!"
    (request,) = server.requests
    models = "/projects/my-project/locations/europe-west1/publishers/anthropic/models"
    assert unquote(request.path) == f"{models}/claude-haiku-4-5@20251001:streamRawPredict"
    assert request.headers["authorization"] == "Bearer a token of the test"
    assert request.json["anthropic_version"] == "2026-10-21"
    assert "model" not in request.json


async def test_vertex_without_credentials_says_where_they_may_come_from(server: CloudServer) -> None:
    pytest.importorskip("google.auth", reason="Vertex needs google-auth")
    async with MiniAgents():
        agent = AnthropicAgent.fork(
            model="m", provider="vertex", project="p", region="r", base_url=server.url, retry=ONCE
        )
        with pytest.raises(AuthenticationError, match=r"gcp\.vertex_ai: no credentials: .*application default"):
            await agent.inquire("Hi")
    assert not server.requests


@pytest.mark.parametrize("version", [None, "2025-03-01-preview"])
async def test_azure_gets_its_key_its_version_and_the_deployment_in_the_path(
    server: CloudServer, version: str | None
) -> None:
    body = b"".join(event(part) for part in (chunk({"content": "Hi"}), chunk({}, "stop"))) + DONE
    # Azure's first chunk has no choices, but the results of its content filter.
    filtered = event(chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]))
    server.answers = [(200, "text/event-stream", filtered + body)]
    async with MiniAgents():
        agent = OpenAIAgent.fork(
            model="my-deployment", provider="azure", base_url=server.url, api_key="k", api_version=version
        )
        assert str(await agent.inquire("Hi")) == "Hi"
    (request,) = server.requests
    expected = version or "2024-10-21"
    assert request.path == f"/openai/deployments/my-deployment/chat/completions?api-version={expected}"
    assert request.headers["api-key"] == "k"
    assert "authorization" not in request.headers


async def test_azures_content_filter_is_an_invalid_request_with_its_words(server: CloudServer) -> None:
    error = {"error": {"code": "content_filter", "message": "The prompt was filtered.", "status": 400}}
    server.answers = [(400, "application/json", json.dumps(error).encode())]
    async with MiniAgents():
        agent = OpenAIAgent.fork(model="d", provider="azure", base_url=server.url, api_key="k", retry=ONCE)
        with pytest.raises(InvalidRequestError, match=r"azure\.ai\.openai: 400: The prompt was filtered") as raised:
            await agent.inquire("Hi")
    assert raised.value.error_type == "content_filter"


async def test_azure_without_a_key_says_so(server: CloudServer) -> None:
    async with MiniAgents():
        with pytest.raises(MissingKeyError, match=r"/agents/OpenAIAgent.*AZURE_OPENAI_API_KEY"):
            await OpenAIAgent.fork(model="d", provider="azure", base_url=server.url).inquire("Hi")


async def test_a_cloud_that_an_agent_does_not_have_and_options_of_another_one_are_refused(server: CloudServer) -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="provider= is one of 'bedrock', 'vertex' here, not 'azure'"):
            await AnthropicAgent.fork(model="m", provider="azure").inquire("Hi")
        with pytest.raises(InvalidOptionError, match="project= is not for provider='bedrock'"):
            await AnthropicAgent.fork(model="m", provider="bedrock", project="p").inquire("Hi")
        with pytest.raises(InvalidOptionError, match="region= is not for provider=None"):
            await OpenAIAgent.fork(model="m", region="r", api_key="k").inquire("Hi")
        with pytest.raises(InvalidOptionError, match="AWS_REGION"):
            await AnthropicAgent.fork(model="m", provider="bedrock", api_key="k").inquire("Hi")


async def test_a_client_of_a_cloud_may_be_given(server: CloudServer) -> None:
    pytest.importorskip("google.auth", reason="Vertex needs google-auth")
    import anthropic

    events = b"".join(event(data) for data in [start(), *text_block("Hello!"), *end()])
    server.answers = [(200, "text/event-stream", events)]
    client = anthropic.AsyncAnthropicVertex(
        region="us-east5", project_id="p", access_token="t", base_url=server.url, max_retries=2
    )
    async with client, MiniAgents():
        assert str(await AnthropicAgent.fork(model="m", async_client=client).inquire([UserMessage("Hi")])) == "Hello!"
    assert "/locations/us-east5/" in server.requests[0].path


async def test_without_the_package_of_a_cloud_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    async with MiniAgents():
        with pytest.raises(MissingDependencyError, match=r"pip install 'miniagents\[bedrock\]'"):
            await AnthropicAgent.fork(model="m", provider="bedrock", region="r", api_key="k").inquire("Hi")


async def test_the_windows_of_models_are_known_by_their_names_in_clouds() -> None:
    pytest.importorskip("genai_prices", reason="the windows of models are in genai-prices")
    assert await window_of("eu.anthropic.claude-haiku-4-5-20251001-v1:0") == 200_000
