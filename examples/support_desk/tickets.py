"""The tickets of the desk, in an actor that outlives the process."""

import msgspec

from miniagents import Actor, ActorContext, ActorRef, ActorSystem, Message, Request

BOOK = "tickets"


class Ticket(Message):
    """A question of a customer, and the answer, once there is one."""

    number: int
    question: str
    answer: str | None = None


class Tickets(Message):
    """Several tickets, by their numbers."""

    tickets: tuple[Ticket, ...]


class Open(Request[Ticket]):
    """Opens a ticket."""

    question: str


class Read(Request[Tickets]):
    """Asks for all tickets."""


class Answer(Message):
    """Closes a ticket with an answer."""

    number: int
    answer: str


class State(msgspec.Struct):
    """The part of the actor that is in the journal. A real desk would have a table in its database."""

    tickets: dict[int, Ticket]


class TicketBook(Actor):
    """Opens, closes and shows tickets."""

    def __init__(self) -> None:
        self.tickets: dict[int, Ticket] = {}

    def snapshot(self) -> State:
        """Return what the journal keeps, after each message."""
        return State(self.tickets)

    def restore(self, state: State) -> None:
        """Begin with what the journal has kept."""
        self.tickets = state.tickets

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Open(question):
                ticket = Ticket(number=len(self.tickets) + 1, question=question)
                self.tickets[ticket.number] = ticket
                return ticket
            case Answer(number, answer):
                self.tickets[number] = msgspec.structs.replace(self.tickets[number], answer=answer)
            case Read():
                return Tickets(tickets=tuple(self.tickets.values()))
            case _:
                return ctx.unhandled(message)
        return None


def book_of(system: ActorSystem) -> ActorRef:
    """Return the actor of the tickets, which the service starts first."""
    book = system.lookup(f"/{BOOK}")
    assert book is not None
    return book
