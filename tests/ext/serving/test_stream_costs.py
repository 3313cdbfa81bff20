"""What a served stream costs, counted: Python calls, and the objects that the garbage collector tracks."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from types import FrameType

from miniagents import InteractionContext, TextMessage, TextToken, miniagent
from miniagents.ext.serving import agent_app
from tests.ext.serving.direct import request
from tests.ext.serving.servers import TOKEN

_TOKENS = 20
_LIVE = 50


async def tokens(_: object) -> AsyncIterator[TextToken]:
    for _number in range(_TOKENS):
        await asyncio.sleep(0)
        yield TextToken("token ")


@miniagent
async def streamer(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


async def endless_tokens(_: object) -> AsyncIterator[TextToken]:
    yield TextToken("token ")
    await asyncio.Event().wait()


@miniagent
async def endless(ctx: InteractionContext) -> None:
    ctx.reply(TextMessage.promise(message_token_streamer=endless_tokens))


def body(agent: str) -> dict[str, object]:
    return {"model": agent, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_stream_of_20_tokens_makes_no_more_calls_than_it_did() -> None:
    """Those of the agent's code and of the steps of coroutines are among them. The same by hand makes 840."""
    app, calls, times = agent_app(streamer, auth=TOKEN, admin_auth=None), 0, 20

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"

    async with app.lifespan():
        for _ in range(3):
            await request(app, "/v1/chat/completions", body("streamer"))
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            for _ in range(times):
                sent = await request(app, "/v1/chat/completions", body("streamer"))
        finally:
            sys.setprofile(before)

    assert b"".join(message.get("body", b"") for message in sent).count(b"token ") == _TOKENS
    assert calls / times <= 1600, f"{calls / times:.1f} calls"


async def test_a_live_stream_has_no_more_objects_than_it_had() -> None:
    """Those of Starlette and of the test are among them. The same by hand has about 90."""
    app = agent_app(endless, auth=TOKEN, admin_auth=None)
    async with app.lifespan():
        gone = asyncio.create_task(request(app, "/v1/chat/completions", body("endless"), leaves_after=2))
        await gone  # what is made once is there now
        gc.collect()
        before = len(gc.get_objects())
        live = [asyncio.create_task(request(app, "/v1/chat/completions", body("endless"))) for _ in range(_LIVE)]
        for _ in range(100):  # until each of them waits for its second token
            await asyncio.sleep(0)
        gc.collect()
        objects = (len(gc.get_objects()) - before) / _LIVE
        for task in live:
            task.cancel()
        await asyncio.gather(*live, return_exceptions=True)

    assert objects <= 140, f"{objects:.1f} objects"
