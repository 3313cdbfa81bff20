"""Fallback under an outage: the first model cannot be reached, and the second one answers."""

import logging

import structlog

from examples.models import model_of
from miniagents import Backoff, MiniAgents, RetryPolicy
from miniagents.ext.llms import Fallback, OpenAIAgent


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    down = OpenAIAgent.fork(
        model="gpt-5-mini",
        base_url="http://127.0.0.1:9/v1",  # no server listens on this port
        api_key="none",
        retry=RetryPolicy(attempts=2, backoff=Backoff(0.05, 0.1)),
    )
    agent = Fallback(down, model_of(max_tokens=20))
    for question in ("Who are you?", "And who else?"):
        replies = await agent.inquire(question).answer()
        print(f"{replies[-1].agent_alias}: {replies}")


if __name__ == "__main__":
    MiniAgents().run(main())
