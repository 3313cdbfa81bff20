"""The blocks that Anthropic's clients send: what agents get of them, and what is refused, by name."""

import base64
from collections.abc import Sequence
from typing import Any

import anthropic
import pytest

from miniagents import InteractionContext, Message, MiniAgent, SystemMessage, UserMessage, miniagent
from miniagents.ext.llms import (
    FileMessage,
    ImageMessage,
    NativeMessage,
    ReplyMessage,
    ToolResultMessage,
    from_anthropic,
    to_anthropic,
)
from miniagents.ext.serving import Served, agent_app
from tests.ext.serving.agents import echo
from tests.ext.serving.anthropic.strict_client import strict_client
from tests.ext.serving.servers import TOKEN, in_process, served

pytestmark = pytest.mark.real_time

PNG = base64.b64encode(b"\x89PNG").decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF-").decode()}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tea"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
KNOWN_TO_ALL: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    "image": IMAGE,
    "image by URL": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    "pdf": {"type": "document", "source": PDF, "title": "Report", "context": "It is old.", "citations": None},
    "text document": {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Tea is hot."},
        "title": "tea.txt",
        "citations": {"enabled": True},
    },
    "document by URL": {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    "document of pieces": {
        "type": "document",
        "title": "Guide",
        "source": {"type": "content", "content": [{"type": "text", "text": "Step one"}, IMAGE]},
    },
    "document of one text": {"type": "document", "source": {"type": "content", "content": "Step one"}},
    "search result": {
        "type": "search_result",
        "source": "https://example.com",
        "title": "Tea",
        "content": [{"type": "text", "text": "Hot."}],
        "citations": {"enabled": False},
    },
}
ONLY_ANTHROPICS: dict[str, dict[str, Any]] = {
    "image by file_id": {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    "document by file_id": {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    "document of an image by file_id": {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]},
    },
    "container_upload": {"type": "container_upload", "file_id": "file_1"},
    "something_of_tomorrow": {"type": "something_of_tomorrow", "depth": [{"a": 1.5}, None]},
}


class Collector:
    """An agent, and what it got.

    Attributes:
        agent: It says "Seen."
        got: The messages of its last call.
    """

    def __init__(self) -> None:
        self.got: Sequence[Message] = ()

        @miniagent(alias="collector")
        async def collector(ctx: InteractionContext) -> None:
            self.got = tuple(await ctx.message_promises)
            ctx.reply("Seen.")

        self.agent: MiniAgent = collector


async def sent(messages: Any, *, wants: Any = (), **options: Any) -> Sequence[Message]:
    """What an agent gets of messages that the official client sends."""
    collector = Collector()
    app = agent_app(Served(collector.agent, wants=wants), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        await client.messages.create(model="collector", max_tokens=9, messages=messages, **options)
    return collector.got


def of_user(*blocks: Any) -> Any:
    return [{"role": "user", "content": list(blocks)}]


async def test_documents_reach_an_agent_with_their_text_their_name_and_what_is_said_about_them() -> None:
    blocks = [KNOWN_TO_ALL[name] for name in ("pdf", "text document", "document by URL", "search result")]

    pdf, text, by_url, found = await sent(of_user(*blocks))

    assert isinstance(pdf, FileMessage)
    assert isinstance(text, FileMessage)
    assert isinstance(by_url, FileMessage)
    assert (pdf.data, pdf.filename, pdf.context, pdf.text) == (b"%PDF-", "Report", "It is old.", None)
    assert (text.text, text.filename, text.media_type) == ("Tea is hot.", "tea.txt", "text/plain")
    assert by_url.url == "https://example.com/a.pdf"
    assert str(found) == "Tea (https://example.com)\n\nHot."


async def test_a_document_of_pieces_reads_as_its_pieces() -> None:
    (guide,) = await sent(of_user(KNOWN_TO_ALL["document of pieces"]))

    assert str(guide) == "Guide\n\nStep one\n\n[image: image/png]"


async def test_images_and_documents_in_tool_results_reach_an_agent_in_their_order() -> None:
    content = [{"type": "text", "text": "Before:"}, IMAGE, {"type": "text", "text": "After:"}, KNOWN_TO_ALL["pdf"]]
    call = {"type": "tool_use", "id": "toolu_1", "name": "screenshot", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, "is_error": True}

    *_, message = await sent(
        [{"role": "user", "content": "Look!"}, {"role": "assistant", "content": [call]}, *of_user(result)]
    )

    assert isinstance(message, ToolResultMessage)
    assert (message.name, message.call_id, message.is_error) == ("screenshot", "toolu_1", True)
    assert [type(part) for part in message.parts] == [UserMessage, ImageMessage, UserMessage, FileMessage]
    assert str(message) == "Before:\n\n[image: image/png]\n\nAfter:\n\n[file: Report]"


async def test_a_tool_result_of_text_has_no_parts() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "4"}]}

    *_, message = await sent([{"role": "assistant", "content": [call]}, *of_user(result)])

    assert isinstance(message, ToolResultMessage)
    assert (message.content, message.parts, message.is_error) == ("4", (), False)


async def test_each_block_of_the_system_prompt_is_a_message_and_so_is_a_system_turn() -> None:
    system: Any = [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Be kind."},
        {"type": "text", "text": " "},
    ]

    messages = await sent(
        [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be quick."}], system=system
    )

    assert [(type(one), str(one)) for one in messages] == [
        (SystemMessage, "Be brief."),
        (SystemMessage, "Be kind."),
        (UserMessage, "Hi"),
        (SystemMessage, "Be quick."),
    ]


async def test_what_a_model_thought_is_no_part_of_what_an_agent_reads() -> None:
    thought = {"type": "thinking", "thinking": "Hmm.", "signature": "sig"}
    redacted = {"type": "redacted_thinking", "data": "x"}
    said = {"role": "assistant", "content": [thought, redacted, {"type": "text", "text": "Tea."}]}

    _, reply = await sent([{"role": "user", "content": "Hi"}, said])

    assert (str(reply), getattr(reply, "role", None)) == ("Tea.", "assistant")


@pytest.mark.parametrize("kind", ONLY_ANTHROPICS)
async def test_what_only_anthropics_models_take_is_refused_by_type_and_place(kind: str) -> None:
    messages = [
        *of_user({"type": "text", "text": "Hi"}),
        *of_user({"type": "text", "text": "So"}, ONLY_ANTHROPICS[kind]),
    ]
    named = "image by file_id" if "image by file_id" in kind else kind

    with pytest.raises(anthropic.BadRequestError) as refused:
        await sent(messages)

    assert refused.value.type == "invalid_request_error"
    assert f"'{named}' (messages[1].content[1]" in str(refused.value.api_message)


async def test_all_of_the_refused_blocks_are_named_also_those_in_tool_results_and_of_the_assistant() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    reference = {"type": "tool_reference", "tool_name": "g"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [reference]}

    with pytest.raises(anthropic.BadRequestError) as refused:
        await sent([{"role": "assistant", "content": [SEARCHED, FOUND, call]}, *of_user(result)])

    text = str(refused.value.api_message)
    assert "'server_tool_use' (messages[0].content[0])" in text
    assert "'web_search_tool_result' (messages[0].content[1])" in text
    assert "'tool_reference' (messages[1].content[0].content[0])" in text


async def test_an_agent_that_wants_them_gets_them_whole() -> None:
    said = {"role": "assistant", "content": [SEARCHED, FOUND, {"type": "text", "text": "Tea."}]}
    blocks = tuple(ONLY_ANTHROPICS.values())

    reply, *shown = await sent([said, *of_user(*blocks)], wants=("blocks",))

    assert isinstance(reply, ReplyMessage)
    assert reply.content == "Tea."
    assert [one.kind for one in shown if isinstance(one, NativeMessage)] == [block["type"] for block in blocks]
    assert to_anthropic([reply, *shown])[1][1:] == [said, *of_user(*blocks)]


@pytest.mark.parametrize("kind", [*KNOWN_TO_ALL, *ONLY_ANTHROPICS])
def test_a_block_of_a_user_goes_back_as_it_came(kind: str) -> None:
    block = {**KNOWN_TO_ALL, **ONLY_ANTHROPICS}[kind]
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [block], "cache_control": {"type": "ephemeral"}}
    given = [*of_user({"type": "text", "text": "Hi"}, block), call, *of_user(result)]

    _, back = to_anthropic(from_anthropic(given))

    whole = {name: value for name, value in block.items() if value is not None}
    assert back == [*of_user({"type": "text", "text": "Hi"}, whole), call, *of_user({**result, "content": [whole]})]


def test_the_blocks_of_a_reply_go_back_in_their_order_with_the_ids_that_its_calls_have_by_now() -> None:
    cited = {"type": "text", "text": "Tea.", "citations": [{"type": "char_location", "cited_text": "Tea"}]}
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}
    thought = {"type": "thinking", "thinking": "Hmm.", "signature": "sig"}
    blocks = [thought, SEARCHED, FOUND, cited, call]

    (message,) = from_anthropic([{"role": "assistant", "content": blocks}])
    assert isinstance(message, ReplyMessage)
    renamed = ReplyMessage(
        message.content,
        tool_calls=(type(message.tool_calls[0])(id="2", name="f", arguments='{"a":1}'),),
        metadata=message.metadata,
    )
    _, (_, back) = to_anthropic([renamed])

    assert back == {"role": "assistant", "content": [*blocks[:-1], {**call, "id": "2"}]}


def test_thoughts_go_back_where_they_were() -> None:
    thought = {"type": "thinking", "thinking": "Hmm.", "signature": "sig"}
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    text = {"type": "text", "text": "Tea."}

    orders = [thought, text, thought, text], [thought, text, thought], [thought, text, text], [text, thought, call]
    for blocks in orders:
        _, (_, back) = to_anthropic(from_anthropic([{"role": "assistant", "content": blocks}]))
        assert back["content"] == blocks


def test_a_system_prompt_keeps_its_blocks_where_they_have_more_than_text() -> None:
    cached = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    plain = {"type": "text", "text": "Be kind."}

    assert to_anthropic(from_anthropic([], system=[cached, plain]))[0] == [cached, plain]
    assert to_anthropic(from_anthropic([], system=[plain, plain]))[0] == "Be kind.\n\nBe kind."


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (
            [{"role": "user", "content": [{"text": "Hi"}]}],
            "missing required field `type` (messages[0].content[0].type)",
        ),
        (of_user({"type": "image"}), "missing required field `source` (messages[0].content[0].source)"),
        (of_user({"type": "image", "source": {"type": "ftp"}}), "(messages[0].content[0].source.type)"),
        (of_user({"type": "document", "source": {**PDF, "data": "?"}}), "(messages[0].content[0].source.data)"),
        (
            of_user({"type": "document", "source": {"type": "text", "media_type": "text/html", "data": ""}}),
            "(messages[0].content[0].source.media_type)",
        ),
        (
            of_user({"type": "tool_use", "id": "1", "name": "f", "input": {}}),
            "'tool_use' are not allowed for the user (messages[0].content[0].type)",
        ),
        ([{"role": "assistant", "content": [IMAGE]}], "'image' are not allowed for the assistant"),
        (
            of_user({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_result"}]}),
            "'tool_result' are not allowed for the tool (messages[0].content[0].content[0].type)",
        ),
        (of_user({"type": "text", "text": "Hi", "cache_control": {"a": 2**70}}), "an integer of 71 bits"),
        (of_user("Hi"), "(messages[0].content[0])"),
    ],
)
async def test_a_wrong_block_is_refused_with_its_place(messages: Any, said: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        await sent(messages)

    assert said in str(refused.value.api_message)


async def test_a_conversation_keeps_documents_results_and_native_blocks() -> None:
    collector = Collector()
    app = agent_app(Served(collector.agent, wants=("blocks",)), auth=TOKEN, admin_auth=None)
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    first = [
        *of_user(*KNOWN_TO_ALL.values(), ONLY_ANTHROPICS["container_upload"]),
        {"role": "assistant", "content": [SEARCHED, FOUND, call]},
        *of_user({"type": "tool_result", "tool_use_id": "1", "content": [IMAGE]}),
    ]
    body = {"model": "collector", "max_tokens": 9, "conversation": "c1"}

    async with in_process(app) as client:
        for messages in (first, of_user({"type": "text", "text": "And?"})):
            answer = await client.post("/v1/messages", json={**body, "messages": messages})
            assert answer.status_code == 200

    assert tuple(collector.got[:-2]) == from_anthropic(first)


async def test_a_large_body_with_blocks_of_all_kinds_is_read_in_the_child_process() -> None:
    collector = Collector()
    app = agent_app(Served(collector.agent, wants=("blocks",)), auth=TOKEN, admin_auth=None)
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 300_000}}
    messages = of_user(text, *KNOWN_TO_ALL.values(), *ONLY_ANTHROPICS.values())

    async with in_process(app) as client:
        answer = await client.post("/v1/messages", json={"model": "collector", "max_tokens": 9, "messages": messages})
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        refused = await client.post("/v1/messages", json={"model": "echo", "max_tokens": 9, "messages": messages})

    assert answer.status_code == 200
    assert tuple(collector.got) == from_anthropic(messages)
    assert refused.status_code == 400
    assert "'container_upload' (messages[0].content[13])" in refused.json()["error"]["message"]


async def test_no_more_than_five_of_the_refused_blocks_are_named() -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        await sent(of_user(*[ONLY_ANTHROPICS["container_upload"]] * 9))

    assert str(refused.value.api_message).count("'container_upload'") == 5
