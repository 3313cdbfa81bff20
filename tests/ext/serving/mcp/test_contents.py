"""The contents of a result, from the replies of an agent."""

from mcp_types import AudioContent, BlobResourceContents, EmbeddedResource, TextContent

from miniagents import TextMessage
from miniagents.ext.llms import AudioMessage, FileMessage, ImageMessage, ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.serving.mcp.contents import contents_of


def test_the_agents_own_tool_calls_and_their_results_are_left_out() -> None:
    call = ToolCall(id="1", name="look", arguments="{}")
    replies = [
        ReplyMessage("Let me look.", tool_calls=(call,)),
        ReplyMessage("", tool_calls=(call,)),
        ToolResultMessage("a secret", call_id="1", name="look"),
        ReplyMessage("It is sunny."),
    ]

    assert contents_of(replies) == [TextContent(text="Let me look."), TextContent(text="It is sunny.")]


def test_sound_and_files_are_contents_of_their_kinds_and_what_has_only_an_address_is_told_as_text() -> None:
    sound, file, image, plain = contents_of(
        [
            AudioMessage(data=b"RIFF", media_type="audio/wav"),
            FileMessage(data=b"%PDF", media_type="application/pdf", filename="a plan.pdf"),
            ImageMessage(url="https://example.com/a.png"),
            TextMessage("Done."),
        ]
    )

    assert sound == AudioContent(data="UklGRg==", mime_type="audio/wav")
    resource = BlobResourceContents(uri="file:///a%20plan.pdf", mime_type="application/pdf", blob="JVBERg==")
    assert file == EmbeddedResource(resource=resource)
    assert image == TextContent(text="[image: https://example.com/a.png]")
    assert plain == TextContent(text="Done.")
