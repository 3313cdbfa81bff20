"""A game of werewolf to look at in the observer: `python -m examples.werewolf --observe`.

Each villager is an agent with a character and a memory of its own. At night the wolf bites. By day all accuse
somebody, one after the other, and then all vote at the same time. Bruno panics when he was accused twice: his agent
crashes, its supervisor starts a fresh one, and Bruno remembers nothing of the days before.
"""

import argparse
import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Literal

import structlog

from miniagents import (
    AgentRef,
    ChildSpec,
    InteractionContext,
    MessageSequencePromise,
    MiniAgents,
    OneForOne,
    Supervisor,
    SupervisorRef,
    TextMessage,
    as_single_text_promise,
    gather,
    miniagent,
)
from miniagents.ext.observer import WebObserver


class Accusation(TextMessage, kw_only=True):
    """Words with which a villager points at another one."""

    day: int
    by: str
    of: str


class PanicError(Exception):
    """A villager cannot bear to be accused again."""


class Memory:
    """The accusations that a villager has heard since its instance was started.

    Args:
        name: The name of the villager.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._heard: dict[tuple[int, str], str] = {}

    def hear(self, accusation: Accusation) -> None:
        """Keep an accusation; what is heard again counts once."""
        self._heard[accusation.day, accusation.by] = accusation.of

    def accusers(self) -> list[str]:
        """Return the villagers that have accused this one, in order, each as often as it has."""
        return [by for (_, by), of in self._heard.items() if of == self._name]

    def most_accused(self, others: Sequence[str]) -> str:
        """Return the one of the others that was accused most often; "" if none of them was."""
        counts = Counter(of for of in self._heard.values() if of in others)
        return max(counts, key=lambda name: (counts[name], name), default="")

    def last_suspect_of(self, name: str) -> str:
        """Return the one that another villager has accused last, or ""."""
        return next((of for (_, by), of in reversed(self._heard.items()) if by == name), "")


Choice = Callable[[Memory, Sequence[str]], str]
"""A way to choose a suspect among others; "" for drawing lots."""


def careful(memory: Memory, others: Sequence[str]) -> str:
    """Follow the majority."""
    return memory.most_accused(others)


def vengeful(memory: Memory, others: Sequence[str]) -> str:
    """Accuse the last accuser."""
    return next(reversed(memory.accusers()), "")


def loyal(memory: Memory, others: Sequence[str]) -> str:
    """Accuse whom Ada accuses."""
    return memory.last_suspect_of("Ada")


def undecided(memory: Memory, others: Sequence[str]) -> str:
    """Draw lots."""
    return ""


CHARACTERS: dict[str, tuple[Choice, str]] = {
    "Ada": (careful, "I have listened to all of you. I believe that it is {}."),
    "Bruno": (undecided, "Oh dear, it is dark, and I am afraid. Of {}, most of all."),
    "Clara": (vengeful, "I forget nothing, and I forgive nothing. It is {}!"),
    "Dora": (loyal, "Ada is always right. So it is {}."),
    "Emil": (undecided, "Heads or tails? Tails. It is {}."),
    "Fritz": (careful, "I say what everybody says: {}."),
}
"""The villagers: the way in which each of them chooses, and its line."""


class Villager:
    """A player of the game. Its memory lasts as long as its instance."""

    def __init__(self, name: str, seed: int, pace: float) -> None:
        self.name = name
        self.pace = pace
        self.random = Random(f"{seed} {name}")
        self.memory = Memory(name)
        self.choice, self.line = CHARACTERS[name]

    async def __call__(
        self, ctx: InteractionContext, task: Literal["speak", "vote", "bite"], day: int, alive: tuple[str, ...]
    ) -> None:
        async for message_promise in ctx.message_promises:  # the talk of the day, as it is said
            message = await message_promise
            if isinstance(message, Accusation):
                self.memory.hear(message)
        if task == "vote" and self.name == "Bruno" and len(self.memory.accusers()) > 1:
            raise PanicError("it was not me, I swear, I was in bed")
        others = [name for name in alive if name != self.name]
        suspect = self.choice(self.memory, others)
        if suspect not in others:
            suspect = self.random.choice(others)
        if task == "speak":
            words = self.words(suspect)
            ctx.reply(
                as_single_text_promise(words, delimiter="", message_class=Accusation, day=day, by=self.name, of=suspect)
            )
        else:
            ctx.reply(Accusation(day=day, by=self.name, of=suspect))

    async def words(self, suspect: str) -> AsyncIterator[str]:
        """Say the line of this villager, word by word."""
        yield f"{self.name}:"
        for word in self.line.format(suspect).split():
            await asyncio.sleep(self.pace)
            yield f" {word}"


villager = miniagent(Villager)


@miniagent
async def moderator(ctx: InteractionContext, village: SupervisorRef, wolf: str, pace: float) -> None:
    """Leads the game, and tells what happens."""

    def call(name: str, task: str, talk: Sequence[MessageSequencePromise] = ()) -> MessageSequencePromise:
        ref = ctx.system.lookup(f"{village.path}/{name}")
        assert isinstance(ref, AgentRef)  # those that are alive have an agent
        return ref.inquire(talk, task=task, day=day, alive=tuple(alive))

    async def lose(name: str) -> None:
        alive.remove(name)
        await village.terminate_child(name)

    alive, day = list(CHARACTERS), 1
    while len(alive) > 2:
        await asyncio.sleep(5 * pace)
        bitten = suspect_of(await call(wolf, "bite"))
        await lose(bitten)
        ctx.reply(f"Night {day}. The wolf bites {bitten}.")

        talk: list[MessageSequencePromise] = []
        for name in alive:
            talk.append(call(name, "speak", tuple(talk)))  # a promise: nobody waits here
        ctx.reply(talk)

        votes: Counter[str] = Counter()
        ballots = await gather(*(call(name, "vote", talk) for name in alive), return_exceptions=True)
        for name, ballot in zip(alive, ballots, strict=True):
            if isinstance(ballot, PanicError):
                ctx.reply(f"({name} panics: “{ballot}”. A fresh {name} remembers nothing.)")
            elif isinstance(ballot, BaseException):
                raise ballot
            else:
                votes[suspect_of(ballot)] += 1
        exiled, count = max(votes.items(), key=lambda vote: (vote[1], vote[0]))
        await lose(exiled)
        ctx.reply(f"Day {day}. {exiled} has to leave, with {count} of {votes.total()} votes.")
        if exiled == wolf:
            ctx.reply(f"{wolf} was the wolf. The village wins.")
            return
        day += 1
    ctx.reply(f"Only {alive[0]} and {alive[1]} are left. {wolf} was the wolf, and wins.")


def suspect_of(replies: Sequence[object]) -> str:
    """Return the villager at whom the replies of another one point."""
    return next(reply.of for reply in replies if isinstance(reply, Accusation))


async def game(seed: int, pace: float) -> None:
    """Play one game.

    Args:
        seed: Decides who the wolf is, and all lots.
        pace: Seconds between two words, 0 or more.
    """
    children = [ChildSpec(name, villager, kwargs={"name": name, "seed": seed, "pace": pace}) for name in CHARACTERS]
    strategy = OneForOne(max_restarts=10, within=60.0)
    village = await MiniAgents.get_current().supervise(Supervisor("village", strategy=strategy, children=children))
    wolf = Random(seed).choice(list(CHARACTERS))
    async for message_promise in moderator.inquire(village=village, wolf=wolf, pace=pace):
        async for token in message_promise:
            print(token, end="", flush=True)
        print()
    await asyncio.sleep(100 * pace)  # time to look around in the observer


def main() -> None:
    """Read the options, and play."""
    parser = argparse.ArgumentParser(description="A game of werewolf among agents.")
    parser.add_argument("--observe", action="store_true", help="show the game in the browser, at a slow pace")
    parser.add_argument("--pace", type=float, help="seconds between two words (0; with --observe 0.5)")
    parser.add_argument("--seed", type=int, default=4, help="another seed is another game")
    options = parser.parse_args()
    pace = options.pace if options.pace is not None else 0.5 * options.observe
    MiniAgents(observers=[WebObserver()] if options.observe else []).run(game(options.seed, pace))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    main()
