"""Replies in the forms that the providers document, streamed and whole: reasoning, hosted tools, citations.

The shapes are those of the types of the SDKs. Signatures and encrypted texts are shortened.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.ext.llms.wire import DONE, Answer, chunk, completion, document, end, message, response, start, stream

CALL = {"city": "Paris"}

# Anthropic's blocks

THINKING = {
    "type": "thinking",
    "thinking": "The user asks about Paris 🗼 I look it up: 2,1 or 2.1 million?",
    "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds/==",
}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP"}
TOOL_USE = {"type": "tool_use", "id": "toolu_01", "name": "population", "input": CALL}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_01", "name": "web_search", "input": {"query": "Louvre"}}
SEARCH_RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_01",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://www.louvre.fr/en/visit",
            "title": "Visit the Louvre",
            "encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y",
            "page_age": None,
        }
    ],
}
CODE = {"type": "server_tool_use", "id": "srvtoolu_02", "name": "code_execution", "input": {"code": "print(6 * 7)"}}
CODE_RESULT = {
    "type": "code_execution_tool_result",
    "tool_use_id": "srvtoolu_02",
    "content": {"type": "code_execution_result", "stdout": "42\n", "stderr": "", "return_code": 0, "content": []},
}
FAILED_SEARCH = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_01",
    "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
}
MCP_CALL = {
    "type": "mcp_tool_use",
    "id": "mcptoolu_01",
    "name": "echo",
    "server_name": "example",
    "input": {"text": "hi"},
}
MCP_RESULT = {
    "type": "mcp_tool_result",
    "tool_use_id": "mcptoolu_01",
    "is_error": False,
    "content": [{"type": "text", "text": "hi, hi"}],
}
CITED = {
    "type": "text",
    "text": "It is open until 6 pm.",
    "citations": [
        {
            "type": "web_search_result_location",
            "url": "https://www.louvre.fr/en/visit",
            "title": "Visit the Louvre",
            "encrypted_index": "Eo8BCioIAhgBIiQyYjQ0OWJmZi1lNm..",
            "cited_text": "The museum is open until 6 pm",
        }
    ],
}


def text(words: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": words}


def of_anthropic(*blocks: Mapping[str, Any], streamed: bool, reason: str = "end_turn", **more: Any) -> Answer:
    """A message with these blocks."""
    if not streamed:
        return document(message(*blocks, reason=reason, **more))
    events: list[Any] = [start(**more)]
    for index, block in enumerate(blocks):
        begun, deltas = _in_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    return stream(*events, *end(reason))


def _in_deltas(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = block["type"]
    if kind == "text":
        pieces = [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
        return {**block, "text": "", **({"citations": []} if cited else {})}, [*cited, *pieces]
    if kind == "thinking":
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in halves(block["thinking"])]
        return (
            {**block, "thinking": "", "signature": ""},
            [*pieces, {"type": "signature_delta", "signature": block["signature"]}],
        )
    if "input" in block:
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in halves(_json(block["input"]))]
        return {**block, "input": {}}, pieces
    return dict(block), []


# Items of the Responses API

REASONING = {
    "type": "reasoning",
    "id": "rs_68a1",
    "summary": [
        {"type": "summary_text", "text": "**Looking it up**"},
        {"type": "summary_text", "text": "The tool knows cities."},
    ],
    "encrypted_content": "gAAAAABoJ8Vq6vNd5uJZ0pZ5nGRA_Zb7o3E4ZJYeCQ==",
}
FUNCTION_CALL = {
    "type": "function_call",
    "id": "fc_68a2",
    "call_id": "call_01",
    "name": "population",
    "arguments": '{"city":"Paris"}',
    "status": "completed",
}
WEB_SEARCH = {
    "type": "web_search_call",
    "id": "ws_68a3",
    "status": "completed",
    "action": {"type": "search", "query": "Louvre opening hours"},
}
FILE_SEARCH = {
    "type": "file_search_call",
    "id": "fs_68a4",
    "status": "completed",
    "queries": ["opening hours"],
    "results": [
        {"file_id": "file-1", "filename": "visit.md", "score": 0.9, "text": "Open until 6 pm.", "attributes": {}}
    ],
}
INTERPRETER = {
    "type": "code_interpreter_call",
    "id": "ci_68a5",
    "status": "completed",
    "code": "print(6 * 7)",
    "container_id": "cntr_1",
    "outputs": [{"type": "logs", "logs": "42\n"}],
}
MCP_ITEM = {
    "type": "mcp_call",
    "id": "mcp_68a6",
    "server_label": "example",
    "name": "echo",
    "arguments": '{"text":"hi"}',
    "output": "hi, hi",
    "status": "completed",
}
COMPUTER = {
    "type": "computer_call",
    "id": "cu_68a7",
    "call_id": "call_02",
    "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
    "pending_safety_checks": [],
    "status": "completed",
}
ANNOTATION = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 22,
    "url": "https://www.louvre.fr/en/visit",
    "title": "Visit the Louvre",
}


def words_item(words: str, *annotations: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the output of a response."""
    content = [{"type": "output_text", "text": words, "annotations": list(annotations), "logprobs": []}]
    return {"type": "message", "id": "msg_68a8", "role": "assistant", "status": "completed", "content": content}


def of_responses(*items: Mapping[str, Any], streamed: bool, **more: Any) -> Answer:
    """A response with these items."""
    whole = response(*items, **more)
    if not streamed:
        return document(whole)
    events: list[Any] = [{"type": "response.created", "response": response(status="in_progress")}]
    for index, item in enumerate(items):
        where = {"output_index": index, "item_id": item["id"]}
        begun = {name: value for name, value in item.items() if name not in ("outputs", "results", "output")}
        empty = {"content": [], "summary": [], "arguments": ""}
        begun |= {name: value for name, value in empty.items() if name in item}
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        for number, part in enumerate(item.get("summary", ())):
            place = {**where, "summary_index": number}
            events.append({"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}})
            for piece in halves(part["text"]):
                events.append({"type": "response.reasoning_summary_text.delta", **place, "delta": piece})
        if item["type"] == "function_call":
            for piece in halves(item["arguments"]):
                events.append({"type": "response.function_call_arguments.delta", **where, "delta": piece})
        for number, part in enumerate(item.get("content", ())):
            place = {**where, "content_index": number}
            for piece in halves(part["text"]):
                events.append({"type": "response.output_text.delta", **place, "delta": piece})
            for at, annotation in enumerate(part["annotations"]):
                added = {**place, "annotation_index": at, "annotation": annotation}
                events.append({"type": "response.output_text.annotation.added", **added})
            events.append({"type": "response.output_text.done", **place, "text": part["text"]})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return stream(*events, {"type": "response.completed", "response": whole})


# Chat completions

DETAILS = [
    {
        "type": "reasoning.text",
        "text": "The user asks about Paris.",
        "signature": "EqQBCgIYAhIM1gbcDa9G",
        "format": "anthropic-claude-v1",
        "index": 0,
    }
]


def of_chat(fields: Mapping[str, Any], *, streamed: bool, calls: bool = False, words: str = "") -> Answer:
    """A completion with fields of reasoning, and with a tool call or words."""
    call = {"id": "call_01", "type": "function", "function": {"name": "population", "arguments": '{"city":"Paris"}'}}
    told: dict[str, Any] = {"tool_calls": [call]} if calls else {}
    reason = "tool_calls" if calls else "stop"
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 40,
        "total_tokens": 52,
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    if not streamed:
        whole = {"role": "assistant", "content": words or None, **fields, **told}
        return document(completion(whole, reason, usage=usage))
    pieces: list[Any] = [chunk({"role": "assistant", "content": ""})]
    for name, value in fields.items():
        if isinstance(value, str):
            pieces += [chunk({"content": None, name: piece}) for piece in halves(value)]
        else:
            pieces += [chunk({"content": "", name: [piece]}) for detail in value for piece in _in_details(detail)]
    pieces += [chunk({"content": piece}) for piece in halves(words)]
    if calls:
        pieces.append(chunk({"tool_calls": [{"index": 0, **call}]}))
    return stream(*pieces, chunk({}, reason), chunk(choices=[], usage=usage), DONE)


def _in_details(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = {name: value for name, value in detail.items() if name not in ("text", "signature")}
    return [
        *({**known, "text": piece} for piece in halves(detail["text"])),
        {**known, "signature": detail["signature"]},
    ]


def halves(words: str) -> Sequence[str]:
    """Split a text into two pieces."""
    middle = len(words) // 2
    return [piece for piece in (words[:middle], words[middle:]) if piece]


def _json(value: object) -> str:
    return json.dumps(value)
