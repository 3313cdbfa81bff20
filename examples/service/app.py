"""The service of a shop in FastAPI, with an agent. Start the service, and open http://127.0.0.1:8000:

    MODEL=openai:gpt-5-mini uvicorn examples.service.app:app

The service prints a token: the `api_key` for any client of OpenAI, with `base_url="http://127.0.0.1:8000/ai/v1"` and
`model="clerk"`.
"""

from pathlib import Path
from typing import Annotated

from fastapi import Body, FastAPI
from fastapi.responses import FileResponse, Response

from examples.models import model_of
from miniagents import InteractionContext, MiniAgent, MiniAgents, OneForOne, Supervisor, miniagent
from miniagents.ext.serving import Limits, Served, agent_app, sse
from miniagents.supervision import ChildSpec

HERE = Path(__file__).parent
PRICES = {"tea": 3.5, "coffee": 4.0}


def price(article: str) -> str:
    """The price of an article, in euros."""
    return f"{PRICES[article]:.2f}" if article in PRICES else "we do not have that"


class Orders:
    """Takes and counts orders."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, ctx: InteractionContext, article: str) -> None:
        self.count += 1
        ctx.reply({"order": self.count, "article": article, "price": PRICES.get(article)})


orders = miniagent(Orders)


async def start(system: MiniAgents) -> None:
    """Start the actors that must run before the service is ready."""
    await system.supervise(Supervisor("shop", strategy=OneForOne(), children=[ChildSpec("orders", orders)]))


clerk = model_of().fork(alias="clerk", system="You sell tea and coffee. Be brief.", tools=[price])
served: dict[str, MiniAgent | Served] = {"clerk": clerk, "orders": Served("/shop/orders", arguments=("article",))}
agents = agent_app(served, on_start=start, grace=20.0, limits=Limits(request_timeout=120.0))
app = FastAPI(title="A shop", lifespan=agents.lifespan, exception_handlers=agents.exception_handlers)
app.mount("/ai", agents)


@app.get("/advice")
async def advice(about: str) -> dict[str, str]:
    """An endpoint of the shop itself, which calls the same agent. A service that stops waits for its calls as well."""
    return {"advice": str(await agents.track(clerk.inquire(f"Tell me about {about}.")).answer())}


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> Response:
    """The same endpoint as a stream, for the page."""
    return sse(clerk.inquire(question))


@app.get("/", include_in_schema=False)
async def page() -> Response:
    """The page for questions to the clerk; its script is `events.mjs`."""
    return FileResponse(HERE / "page.html")


@app.get("/events.mjs", include_in_schema=False)
async def script() -> Response:
    """The script that reads the stream, for any page."""
    return FileResponse(HERE / "events.mjs", media_type="text/javascript")
