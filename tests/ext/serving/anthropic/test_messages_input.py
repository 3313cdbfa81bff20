"""What a client sends to an agent that talks to a model reaches the provider: documents, images, search results."""

from typing import Any

import anthropic
import pytest

from miniagents.ext.llms import (
    AnthropicAgent,
    FileMessage,
    NativeMessage,
    OpenAIAgent,
    ToolResultMessage,
    to_anthropic,
    to_openai,
)
from miniagents.ext.serving import agent_app
from miniagents.testing import FakeProvider
from tests.ext.serving.anthropic.strict_client import strict_client
from tests.ext.serving.anthropic.test_blocks import FOUND, IMAGE, KNOWN_TO_ALL, ONLY_ANTHROPICS, PDF, SEARCHED, of_user
from tests.ext.serving.servers import TOKEN, served

pytestmark = pytest.mark.real_time

PNG_URL = f"data:image/png;base64,{IMAGE['source']['data']}"  # type: ignore[index]
PDF_URL = f"data:application/pdf;base64,{PDF['data']}"
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
NOTE = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Tea is hot."},
    "title": "tea.txt",
    "context": "A note.",
}
PICTURED: dict[str, Any] = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "content": [{"type": "text", "text": "Here:"}, IMAGE, KNOWN_TO_ALL["pdf"], NOTE],
}
LOOKED = [{"role": "user", "content": "Look!"}, {"role": "assistant", "content": [CALL]}, *of_user(PICTURED)]


async def passed_on(provider: FakeProvider, agent: Any, messages: Any, **options: Any) -> dict[str, Any]:
    """The body of the request that reached the provider."""
    provider.reset("Yes.")
    async with (
        served(agent_app(agent.fork(alias="clerk", model="fake-1"), auth=TOKEN, admin_auth=None)) as url,
        strict_client(url) as client,
    ):
        answer = await client.messages.create(model="clerk", max_tokens=9, messages=messages, **options)
    assert answer.content[0].text == "Yes."
    body: dict[str, Any] = provider.last.body
    return body


@pytest.fixture
def claude(fake_provider: FakeProvider) -> Any:
    return AnthropicAgent.fork(**fake_provider.anthropic)


@pytest.fixture
def gpt(fake_provider: FakeProvider) -> Any:
    return OpenAIAgent.fork(**fake_provider.openai)


async def test_all_that_is_anthropics_reaches_a_model_of_anthropic_as_it_came(
    fake_provider: FakeProvider, claude: Any
) -> None:
    blocks = [*KNOWN_TO_ALL.values(), *ONLY_ANTHROPICS.values()]
    said = {"role": "assistant", "content": [SEARCHED, FOUND, {"type": "text", "text": "Tea."}]}
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    messages = [*of_user(*blocks), said, *LOOKED]

    body = await passed_on(fake_provider, claude, messages, system=system)

    whole = [{name: value for name, value in block.items() if value is not None} for block in blocks]
    pictured = {**PICTURED, "content": [*PICTURED["content"][:2], whole[3], NOTE]}
    assert body["messages"] == [*of_user(*whole), said, *LOOKED[:2], *of_user(pictured)]
    assert body["system"] == system


async def test_documents_and_images_reach_a_chat_completion(fake_provider: FakeProvider, gpt: Any) -> None:
    names = ("text", "image", "image by URL", "pdf", "document of pieces", "search result")
    body = await passed_on(fake_provider, gpt, of_user(*[KNOWN_TO_ALL[name] for name in names], NOTE))

    (message,) = body["messages"]
    assert message["content"] == [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "Report: It is old."},
        {"type": "file", "file": {"filename": "Report", "file_data": PDF_URL}},
        {"type": "text", "text": "Guide"},
        {"type": "text", "text": "Step one"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "text", "text": "Tea (https://example.com)"},
        {"type": "text", "text": "Hot."},
        {"type": "text", "text": "tea.txt: A note.\n\nTea is hot."},
    ]


async def test_what_a_tool_shows_comes_after_its_result_in_a_chat_completion(
    fake_provider: FakeProvider, gpt: Any
) -> None:
    second = {**CALL, "id": "toolu_2"}
    messages = [
        {"role": "user", "content": "Look!"},
        {"role": "assistant", "content": [CALL, second]},
        *of_user(
            PICTURED,
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": [IMAGE]},
            {"type": "text", "text": "So?"},
        ),
    ]

    body = await passed_on(fake_provider, gpt, messages)

    _, _, first, other, shown = body["messages"]
    assert (first["role"], first["content"]) == (
        "tool",
        "Here:\n\nReport: It is old.\n\ntea.txt: A note.\n\nTea is hot.",
    )
    assert (other["role"], other["content"]) == ("tool", "(It is in the message after this one.)")
    assert shown["content"] == [
        {"type": "text", "text": "The result of look:"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "file", "file": {"filename": "Report", "file_data": PDF_URL}},
        {"type": "text", "text": "The result of look:"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "text", "text": "So?"},
    ]


async def test_documents_and_images_reach_the_responses_api_in_results_too(
    fake_provider: FakeProvider, gpt: Any
) -> None:
    names = ("image", "pdf", "document by URL", "search result")
    blocks = [KNOWN_TO_ALL[name] for name in names]
    body = await passed_on(fake_provider, gpt.fork(api="responses"), [*of_user(*blocks, NOTE), *LOOKED])

    parts = [part for item in body["input"][:-3] for part in _parts(item)]
    image = {"type": "input_image", "image_url": PNG_URL}
    pdf = {"type": "input_file", "filename": "Report", "file_data": PDF_URL}
    about = {"type": "input_text", "text": "Report: It is old."}
    note = {"type": "input_text", "text": "tea.txt: A note.\n\nTea is hot."}
    assert parts == [
        image,
        about,
        pdf,
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_text", "text": "Tea (https://example.com)"},
        {"type": "input_text", "text": "Hot."},
        note,
    ]
    assert body["input"][-1]["output"] == [{"type": "input_text", "text": "Here:"}, image, about, pdf, note]


def _parts(item: dict[str, Any]) -> list[dict[str, Any]]:
    content = item["content"]
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


async def test_what_the_model_of_an_agent_cannot_take_is_the_clients_error(
    fake_provider: FakeProvider, gpt: Any
) -> None:
    by_url = of_user(KNOWN_TO_ALL["document by URL"])

    for stream in (False, True):
        with pytest.raises(anthropic.BadRequestError, match="take no file by URL"):
            await passed_on(fake_provider, gpt, by_url, stream=stream)

    assert fake_provider.exchanges == []


async def test_an_agent_that_talks_to_another_api_is_not_asked_for_what_only_anthropics_models_take(
    fake_provider: FakeProvider, gpt: Any
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"'clerk' takes no input of the type 'container_upload'"):
        await passed_on(fake_provider, gpt, of_user(ONLY_ANTHROPICS["container_upload"]))


def test_what_is_one_apis_own_is_refused_for_the_models_of_another() -> None:
    native = NativeMessage(api="anthropic", item={"type": "container_upload"})
    result = ToolResultMessage("", call_id="1", parts=(native,))

    for messages in ([native], [result]):
        with pytest.raises(ValueError, match=r"only models of anthropic .* 'container_upload'"):
            to_openai(messages)


@pytest.mark.parametrize("media_type", ["text/csv", "application/json", "Text/Markdown; charset=utf-8"])
def test_files_that_are_text_reach_both_providers_as_text(media_type: str) -> None:
    file = FileMessage(data="1,2 é".encode(), media_type=media_type, filename="a.txt")

    source = {"type": "text", "media_type": "text/plain", "data": "1,2 é"}
    assert to_anthropic([file])[1][0]["content"] == [{"type": "document", "source": source, "title": "a.txt"}]
    assert to_openai([file])[0]["content"] == [{"type": "text", "text": "a.txt\n\n1,2 é"}]
