"""Structured extraction: a text goes in, an object of a Python type comes out, and can be watched as it grows."""

import asyncio

import msgspec

from examples.models import model_of
from miniagents import MiniAgents
from miniagents.ext.llms import partial_outputs

TEXT = "Ann Lee, 34, bought two lamps and a table on Monday; Bob Ray, who is 51, only looked."


class Person(msgspec.Struct):
    """A person that the text speaks of."""

    name: str
    age: int


async def main() -> None:
    agent = model_of().fork(output=list[Person], system="Extract every person from the text.")
    async with MiniAgents():
        replies = agent.inquire(TEXT)
        async for message in replies:
            async for partial in partial_outputs(message):
                print("so far:", partial)
        for person in (await replies)[-1].output:
            print(f"{person.name} is {person.age}")


if __name__ == "__main__":
    asyncio.run(main())
