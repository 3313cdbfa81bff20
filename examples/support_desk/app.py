"""The service. Start it with a journal, and open a ticket:

    export JOURNAL=desk.db MINIAGENTS_TOKEN=clerk MINIAGENTS_ADMIN_TOKEN=secret
    uvicorn --factory examples.support_desk.app:make_app
    curl -d '{"question": "Order 17 is broken, I want my money back."}' -H 'content-type: application/json' \\
        http://127.0.0.1:8000/tickets
    curl -H 'Authorization: Bearer secret' http://127.0.0.1:8000/desk/waits
    curl -d '{"job": "ticket-1", "wait": "refund", "message": "yes"}' -H 'Authorization: Bearer secret' \\
        -H 'content-type: application/json' http://127.0.0.1:8000/desk/waits
    curl http://127.0.0.1:8000/tickets/1

Stop it and start it again wherever you like: it goes on where it was.
"""

import os
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException

from examples.support_desk.agents import clerk, desk
from examples.support_desk.tickets import BOOK, Open, Read, Ticket, TicketBook, book_of
from miniagents import MiniAgents, SpawnOptions
from miniagents.ext.serving import agent_app
from miniagents.journal import SqliteJournal


def make_app(journal: str | None = None) -> FastAPI:
    """Return the service.

    Args:
        journal: The path of the journal; None for the environment variable JOURNAL, or desk.db.
    """
    path = journal or os.environ.get("JOURNAL") or "desk.db"
    system = MiniAgents(name="support-desk", journal=SqliteJournal(path), durable_agents=True)

    async def start(system: MiniAgents) -> None:
        """Start the actor of the tickets, and go on with the questions that have no answer yet."""
        system.spawn(TicketBook, name=BOOK, options=SpawnOptions(durable=True))
        for ticket in (await book_of(system).ask(Read())).tickets:
            if ticket.answer is None:
                answer(ticket)

    def answer(ticket: Ticket) -> None:
        """Run the job of a ticket, or join it."""
        system.run_job(f"ticket-{ticket.number}", desk, ticket.question, number=ticket.number)

    agents = agent_app(clerk, system=system, on_start=start)
    app = FastAPI(title="A support desk", lifespan=agents.lifespan, exception_handlers=agents.exception_handlers)
    app.mount("/desk", agents)  # for the staff: the clerk itself, and /desk/waits for those who approve

    @app.post("/tickets", status_code=202)
    async def open_ticket(question: Annotated[str, Body(embed=True)]) -> dict[str, int]:
        ticket = await book_of(system).ask(Open(question=question))
        answer(ticket)
        return {"ticket": ticket.number}

    @app.get("/tickets/{number}")
    async def show_ticket(number: int) -> dict[str, str | None]:
        for ticket in (await book_of(system).ask(Read())).tickets:
            if ticket.number == number:
                return {"question": ticket.question, "answer": ticket.answer}
        raise HTTPException(404, f"there is no ticket {number}")

    return app
