"""Chains, loops, dialogs, histories, files and logs."""

import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents import (
    AssistantMessage,
    InteractionContext,
    MiniAgents,
    SystemMessage,
    TextMessage,
    UserMessage,
    miniagent,
)
from miniagents.errors import InvalidOptionError
from miniagents.ext.agents import (
    AWAIT,
    CLEAR,
    MarkdownHistoryAgent,
    agent_chain,
    agent_loop,
    console_output_agent,
    dialog_loop,
    file_output_agent,
    in_memory_history_agent,
    markdown_llm_logger_agent,
    user_agent,
)
from miniagents.testing import Reply, Script, ScriptedModel, VirtualTimeLoop


@miniagent
async def louder(ctx: InteractionContext) -> None:
    async for promise in ctx.message_promises:
        ctx.reply(f"{await promise}!")


async def test_a_chain_hands_messages_on() -> None:
    async with MiniAgents():
        assert str(await agent_chain.inquire("a", agents=(louder, None, AWAIT, louder))) == "a!!"
        assert str(await agent_chain.inquire("a", agents=(louder, CLEAR, louder))) == ""


async def test_what_is_no_part_of_a_chain_is_refused() -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="'what'"):
            await agent_chain.inquire("a", agents=("what",))


async def test_a_loop_goes_round_until_somebody_ends_it() -> None:
    seen = []

    @miniagent
    async def counter(ctx: InteractionContext) -> None:
        seen.append(str(await ctx.message_promises))
        if len(seen) == 3:
            raise KeyboardInterrupt
        ctx.reply(f"{seen[-1]}+")

    async with MiniAgents():
        await agent_loop.inquire("a", agents=(counter, AWAIT), raise_keyboard_interrupt=False)
    assert seen == ["a", "a+", "a++"]


async def test_a_loop_that_would_never_wait_is_refused() -> None:
    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="AWAIT"):
            await agent_loop.inquire(agents=(louder,))


def typing_user(*lines: str) -> object:
    left = list(lines)

    @miniagent
    async def typist(ctx: InteractionContext) -> None:
        ctx.reply(ctx.message_promises)
        if not left:
            raise KeyboardInterrupt
        ctx.reply(UserMessage(left.pop(0)))

    return typist


@pytest.mark.parametrize("at_the_end", [True, False])
async def test_a_dialog_keeps_its_history_and_hides_its_prompt(at_the_end: bool) -> None:
    history: list[object] = []
    script = Script("one", "two", "three")
    async with MiniAgents():
        await dialog_loop.inquire(
            SystemMessage("Count."),
            user_agent=user_agent.fork(
                input_agent=typing_user("a", "b"),
                history_agent=in_memory_history_agent.fork(non_freezable_kwargs={"message_list": history}),
            ),
            assistant_agent=ScriptedModel.fork(script=script),
            prompt_at_the_end=at_the_end,
        )
    assert [str(message) for message in history] == ["a", "one", "b"]
    sent = [str(message) for message in script.requests[1].messages]
    assert sent == (["a", "one", "b", "Count."] if at_the_end else ["Count.", "a", "one", "b"])


async def test_the_console_shows_tokens_and_no_control_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(Reply(["Hel", "lo\x1b[2J", " there\n"]))
    async with MiniAgents():
        shown = await console_output_agent.inquire(ScriptedModel.fork(alias="bot", script=script).inquire("Hi"))
    assert capsys.readouterr().out == "BOT: Hello[2J there\n\n\n"
    assert str(shown) == "Hello\x1b[2J there\n"


@pytest.mark.parametrize(("value", "is_coloured"), [(None, True), ("", True), ("1", False)])
async def test_the_console_has_colours_on_a_terminal_unless_no_color_is_set(
    value: str | None, is_coloured: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    async with MiniAgents():
        await console_output_agent.inquire("Hello")

    assert ("\033[" in capsys.readouterr().out) is is_coloured


@pytest.mark.parametrize(("style", "shown"), [("2", "It is July.\n\nSunny."), (None, "Sunny.")])
async def test_the_console_shows_reasoning_before_the_answer(
    capsys: pytest.CaptureFixture[str], style: str | None, shown: str
) -> None:
    bot = ScriptedModel.fork(alias="bot", script=Script(Reply("Sunny.", reasoning="It is July.")))
    async with MiniAgents():
        await console_output_agent.inquire(bot.inquire("Hi"), reasoning_style=style)
    assert capsys.readouterr().out == f"BOT: {shown}\n\n"


async def test_a_file_gets_what_is_said(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "out.txt"
    async with MiniAgents():
        await file_output_agent.inquire(["a", "b"], file=str(file), delimiter=" - ")
    assert file.read_text() == "a - b"


async def test_a_conversation_goes_on_after_the_program_was_started_again(tmp_path: Path) -> None:
    file = tmp_path / "CHAT.md"
    for text in ("first", "second"):
        async with MiniAgents():
            history = MarkdownHistoryAgent.fork(history_md_file=str(file), return_full_history=True)
            answer = ScriptedModel.fork(model="m-1", script=Script(f"answer to {text}"))
            await history.inquire(UserMessage(text))
            messages = await history.inquire(answer.inquire(text))
    assert [(type(m).__name__, str(m), m.metadata.get("model")) for m in messages] == [
        ("UserMessage", "first", None),
        ("AssistantMessage", "answer to first", "m-1"),
        ("UserMessage", "second", None),
        ("AssistantMessage", "answer to second", "m-1"),
    ]


async def test_the_chat_file_has_the_form_of_miniagents_0_0_35(tmp_path: Path) -> None:
    file = tmp_path / "CHAT.md"
    async with MiniAgents():
        agent = MarkdownHistoryAgent.fork(history_md_file=str(file))
        await agent.inquire([UserMessage("Hi"), AssistantMessage("Hello").with_metadata(model="gpt-4o")])
    line = "=" * 40
    assert file.read_text() == f"\nuser\n{line}\nHi\n\nassistant / gpt-4o\n{line}\nHello\n"


async def test_messages_that_are_not_for_the_history_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "CHAT.md"
    async with MiniAgents():
        agent = MarkdownHistoryAgent.fork(history_md_file=str(file), return_full_history=True)
        messages = await agent.inquire([UserMessage("a"), UserMessage("b").with_metadata(no_history=True)])
    assert [str(message) for message in messages] == ["a"]


@settings(max_examples=50)
@given(texts=st.lists(st.text("ab=\\\n /usr", max_size=40), max_size=4), cut=st.integers(1, 5))
def test_no_text_is_taken_for_the_next_message(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int
) -> None:
    file = tmp_path_factory.mktemp("chat") / "CHAT.md"
    tricky = [*texts, f"user\n{'=' * 40}\nnot me", "\\=", "=\n\\\\="]

    async def main() -> list[str]:
        async with MiniAgents():
            agent = MarkdownHistoryAgent.fork(history_md_file=str(file), return_full_history=True, skip_empty=False)
            given = [TextMessage.promise(message_token_streamer=pieces(text), role="assistant") for text in tricky]
            return [str(message) for message in await agent.inquire(given)]

    def pieces(text: str) -> Callable[[dict[str, Any]], AsyncIterator[str]]:
        async def tokens(_: object) -> AsyncIterator[str]:
            for at in range(0, len(text), cut):
                yield text[at : at + cut]

        return tokens

    import asyncio

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        read = runner.run(main())

    def without_empty_ends(text: str) -> str:
        lines = text.split("\n")
        while lines and not lines[0].strip():
            lines.pop(0)
        while lines and not lines[-1].strip():
            lines.pop()
        return "\n".join(lines)

    assert read == [without_empty_ends(text) for text in tricky]


async def test_calls_are_logged_as_markdown_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    logger = markdown_llm_logger_agent.fork(log_folder=str(tmp_path))
    async with MiniAgents(llm_logger_agent=logger):
        await ScriptedModel.fork(script=Script("the answer"), temperature=0.5, api_key="sk-secret").inquire(
            "the prompt"
        )
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "ScriptedModel" in text.splitlines()[0]
    assert "'temperature': 0.5" in text
    assert "\nuser\n" in text
    assert "the prompt" in text
    assert "\nassistant / scripted\n" in text
    assert "the answer" in text
    assert "'output_tokens': 2" in text
    assert "secret" not in text


async def test_nothing_is_logged_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with MiniAgents():
        await ScriptedModel.fork(script=Script("x")).inquire("Hi")
        assert list(tmp_path.iterdir()) == []
        await ScriptedModel.fork(script=Script("x"), llm_logger_agent=True).inquire("Hi")
    assert len(list((tmp_path / "llm_logs").iterdir())) == 1


async def test_calls_about_one_file_wait_for_each_other(tmp_path: Path) -> None:
    file = str(tmp_path / "CHAT.md")
    models = [ScriptedModel.fork(alias=f"m{n}", script=Script(Reply(f"{n} " * 5, delay=1))) for n in range(3)]
    async with MiniAgents():
        calls = [MarkdownHistoryAgent.inquire(model.inquire("Hi"), history_md_file=file) for model in models]
        for call in calls:
            await call
        messages = await MarkdownHistoryAgent.inquire(history_md_file=file, return_full_history=True)
    assert [str(message) for message in messages] == [f"{'0 ' * 5}", f"{'1 ' * 5}", f"{'2 ' * 5}"]
