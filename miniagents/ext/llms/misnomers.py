"""`advice`: the right name for an option that does not exist."""

import difflib
from collections.abc import Collection

from miniagents.ext.llms.parameters import CHAT, MESSAGES, RESPONSES, Api

_ELSEWHERE = {
    "system": "instructions system_prompt system_message system_instruction prompt preamble",
    "output": "output_type result_type response_model response_type output_schema output_format text_format schema",
    "retry": "retries max_retries num_retries retry_policy max_attempts",
    "model": "model_name model_id llm deployment engine",
    "max_turns": "max_steps max_iterations max_iter max_rounds recursion_limit max_tool_calls tool_calls_limit",
    "tools": "functions toolset toolsets plugins handoffs",
    "base_url": "api_base openai_api_base endpoint url host azure_endpoint",
    "api_key": "key token openai_api_key anthropic_api_key",
    "async_client": "client http_client openai_client anthropic_client",
    "stream": "streaming",
    "rate_limit": "rpm tpm max_rpm rate_limiter requests_per_minute tokens_per_minute max_concurrency",
    "budget": "usage_limits max_budget cost_limit token_budget usage_limit",
    "cache": "caching use_cache",
    "approve": "approval human_approval require_approval human_in_the_loop interrupt_before",
    "llm_logger_agent": "logger verbose callbacks",
    "response_metadata": "tags",
    "api_options": "model_settings model_kwargs provider_options extra additional_kwargs generation_config",
    "max_tokens": "max_output_tokens max_new_tokens max_completion_tokens num_predict max_length",
    "stop": "stop_sequences stop_words",
    "stop_sequences": "stop stop_words",
    "effort": "thinking_level thinking_effort",
    "tool_timeout": "tools_timeout function_timeout",
    "n_ctx": "num_ctx context_length context_size",
    "alias": "name agent_name",
}
"""The names of options, and the names that other libraries have for them."""

_NOT_HERE = {
    "timeout": "inquire(timeout=) limits a call, idle_timeout= the silence of the provider, and "
    "api_options={'timeout': ...} is the SDK's",
    "request_timeout": "inquire(timeout=) limits a call, and idle_timeout= the silence of the provider",
    **dict.fromkeys(
        ("messages", "input", "history", "chat_history", "user_prompt"),
        "the conversation is what the agent is called with: inquire(messages)",
    ),
    **dict.fromkeys(("fallback", "fallbacks", "fallback_models"), "several models are Fallback(agent, other, ...)"),
}


def advice(name: str, own: Collection[str], apis: tuple[Api, ...]) -> str:
    """Return what to do instead of giving an unknown option.

    Args:
        name: The name of the unknown option.
        own: The options of the agent.
        apis: The APIs of the agent.
    """
    if name in _NOT_HERE:
        return _NOT_HERE[name]
    through = f"what only the server takes goes through api_options={{{name!r}: ...}}"
    known = {*own, "alias"}.union(*(api.parameters | api.renamed for api in apis))
    for right, others in _ELSEWHERE.items():
        if right in known and name in others.split():
            return f"here it is {right}="
    for api in (CHAT, RESPONSES, MESSAGES):
        if api not in apis and name in api.parameters:
            choice = " (api='responses')" if api is RESPONSES else " (api='chat')" if api is CHAT else ""
            this = " or ".join(own_api.title for own_api in apis)
            return f"it is a parameter of {api.title}{choice}, and this is {this}; {through}"
    near = difflib.get_close_matches(name, known, 1, 0.8)
    return f"do you mean {near[0]}=? If not: {through}" if near else through
