"""Structured extraction: a model turns a text into objects of a Python type, which are shown while they grow."""

import msgspec

from examples.models import model_of
from miniagents import MiniAgents
from miniagents.ext.llms import partial_outputs

TEXT = "Ann Lee, 34, bought two lamps and a table on Monday; Bob Ray, who is 51, only looked."


class Person(msgspec.Struct):
    """A person in the text."""

    name: str
    age: int


async def main() -> None:
    agent = model_of().fork(output=list[Person], system="Extract every person from the text.")
    replies = agent.inquire(TEXT)
    async for message in replies:
        async for partial in partial_outputs(message):
            print("so far:", partial)
    for person in (await replies)[-1].output:
        print(f"{person.name} is {person.age}")


if __name__ == "__main__":
    MiniAgents().run(main())
