"""A storm on a service, over ASGI in memory: requests, streams and WebSockets of many clients, who go away whenever
they like, in conversations and outside of them, until the service stops."""

import asyncio
import json
from typing import Any

from starlette.types import Message as Event
from starlette.types import Receive, Scope, Send

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import AgentApp, Limits, agent_app
from miniagents.testing import Simulation
from tests.storms.agents import Store
from tests.storms.agents import Storm as Agents
from tests.storms.calls import Boom, Calls, a_while, disturbed, turns

UNTIL = 20_000.0

HEADERS = [(b"host", b"localhost"), (b"authorization", b"Bearer token"), (b"content-type", b"application/json")]


class Client:
    """One connection: what it sends, what it got, and when it goes away.

    Args:
        sim: The simulation.
        incoming: What it sends.
        gone: What it sends when it goes away.
    """

    def __init__(self, sim: Simulation, incoming: list[Event], gone: Event) -> None:
        self.sim = sim
        self.incoming = incoming
        self.gone = gone
        self.got: list[Event] = []
        self.has_begun = self.was_served = False
        self.leaves = sim.loop.create_future()
        if sim.random.random() < 0.4:
            self.sim.later(sim.random.choice([0.0, 0.0, 0.01, 0.3, 3.0]), self.leave)

    def leave(self) -> None:
        """Go away."""
        if not self.leaves.done():
            self.leaves.set_result(None)

    async def receive(self) -> Event:
        """What the service reads."""
        if self.sim.random.random() < 0.3:
            await a_while(self.sim, 0.01, 0.5)
        if self.leaves.done() and self.has_begun:
            return self.gone
        self.has_begun = True  # a server tells of a client that has come before it tells that it has gone
        if self.incoming:
            return self.incoming.pop(0)
        await asyncio.wait([self.leaves])
        return self.gone

    async def send(self, event: Event) -> None:
        """What the service writes."""
        if self.sim.random.random() < 0.1:
            await turns(self.sim.random.randrange(4))
        if self.leaves.done() and self.has_begun:
            raise OSError("the client has gone")
        self.got.append(event)

    async def connect(self, app: AgentApp, scope: Scope) -> None:
        """Be served, to the end."""
        receive: Receive = self.receive
        send: Send = self.send
        await app(scope, receive, send)
        self.was_served = not self.leaves.done()
        self.leave()


class Storm:
    """One storm: the service and its clients. The agents are those of the storm on agents."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = random = sim.random
        self.calls = Calls(sim)
        self.clients: list[Client] = []
        self.connections: list[asyncio.Task[Any]] = []
        agents = self.agents = Agents(sim)
        agents.calls = self.calls
        agents.cycles = False
        storm = self

        @miniagent
        class Talker:
            """Talks in conversations: one call at a time."""

            def __init__(self) -> None:
                self.serves = False

            async def __call__(self, ctx: InteractionContext) -> None:
                storm.calls.check(not self.serves, "two turns of one conversation at once")
                self.serves = True
                try:
                    await agents.act(ctx, random.randrange(3), 2)
                finally:
                    self.serves = False

        @miniagent
        async def function(ctx: InteractionContext) -> None:
            await agents.act(ctx, random.randrange(3), -1)

        served: list[Any] = [Talker, function]
        self.app = agent_app(
            served,
            auth="token",
            admin_auth=None,
            grace=random.choice([0.0, 1.0, 30.0]),
            limits=Limits(
                concurrent=random.choice([None, 2, 5]),
                request_timeout=random.choice([0.5, 5.0, 60.0]),
                head_wait=random.choice([0.0, 0.5, 5.0]),
                conversation_waiting=random.choice([0, 1, 16]),
                kept=3,
                keep=random.choice([0.0, 2.0]),
                ping=1.0,
            ),
        )

    def scope(self, kind: str, path: str, headers: dict[str, str]) -> Scope:
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http" if kind == "http" else "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [*HEADERS, *((name.encode(), value.encode()) for name, value in headers.items())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }

    def client(self, incoming: list[Event], gone: Event) -> Client:
        client = Client(self.sim, incoming, gone)
        self.clients.append(client)
        return client

    async def request(self) -> None:
        """A request of one of the APIs, streamed or whole."""
        random = self.random
        name = random.choice(["Talker", "function"])
        headers = {"x-request-timeout": random.choice(["0.01", "1", "20"])} if random.random() < 0.3 else {}
        body: dict[str, Any] = {"stream": random.random() < 0.6}
        if random.random() < 0.5:
            headers["x-conversation"] = random.choice(["c1", "c2"])
        match random.randrange(4):
            case 0 | 1:
                path, body["messages"] = f"/agents/{name}", "hello"
                if body["stream"] and random.random() < 0.3:
                    body["keep"] = True
            case 2:
                path = "/v1/chat/completions"
                body |= {"model": name, "messages": [{"role": "user", "content": "hello"}]}
            case _:
                path = "/v1/responses"
                body |= {"model": name, "input": "hello"}
        client = self.client(
            [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}],
            {"type": "http.disconnect"},
        )
        await client.connect(self.app, self.scope("http", path, headers))
        if client.was_served:
            self.check_answer(path, client.got)

    def check_answer(self, path: str, got: list[Event]) -> None:
        """A whole answer: one head, then a body that ends, and no traceback in it."""
        kinds = [event["type"] for event in got]
        is_whole = kinds[:1] == ["http.response.start"] and set(kinds[1:]) == {"http.response.body"}
        self.calls.check(is_whole and not got[-1].get("more_body"), f"{path}: the answer is {kinds}")
        text = b"".join(event.get("body", b"") for event in got)
        self.calls.check(b"Traceback" not in text, f"{path}: shows a traceback")

    async def socket(self) -> None:
        """A WebSocket."""
        random = self.random
        frames: list[dict[str, Any]] = [{"type": "open"}] if random.random() < 0.7 else []
        if frames and random.random() < 0.5:
            frames[0]["conversation"] = random.choice(["c1", "c2"])
        frames += [{"type": "message", "content": "hello"} for _ in range(random.randrange(3))]
        frames += random.choice([[], [{"type": "finish"}], [{"type": "finish"}], [{"type": "cancel"}]])
        incoming: list[Event] = [{"type": "websocket.connect"}]
        incoming += [{"type": "websocket.receive", "text": json.dumps(frame)} for frame in frames]
        client = self.client(incoming, {"type": "websocket.disconnect", "code": 1005})
        path = f"/agents/{random.choice(['Talker', 'function'])}"
        await client.connect(self.app, self.scope("websocket", path, {}))
        closes = [event for event in client.got if event["type"] == "websocket.close"]
        self.calls.check(len(closes) <= 1, "a WebSocket is closed twice")

    async def drive(self) -> None:
        random = self.random
        for _ in range(random.randrange(2, 8)):
            await a_while(self.sim, 0.01, 0.3, 2.0)
            one = self.request() if random.random() < 0.7 else self.socket()
            connection = self.calls.watch("a connection", self.heard(one))
            self.connections.append(connection)
            if random.random() < 0.05:
                self.sim.later(random.choice([0, 0.01, 1]), connection.cancel)

    async def heard(self, connection: Any) -> None:
        """What a client that has gone causes in the server is the server's, which hears of it."""
        try:
            await connection
        except OSError:
            raise Boom("the client has gone") from None

    async def body(self) -> None:
        app = self.app
        random = self.random
        async with app.lifespan():
            self.agents.store = app.system.spawn(Store, name="store")
            await asyncio.gather(*(self.drive() for _ in range(random.randrange(1, 4))))
            quiet = random.choice([0, 0, 1, 200])
            await asyncio.sleep(quiet)
            if quiet == 200:
                left = app.system.interactions()
                assert left == (), f"calls are under way that nobody waits for: {left}"
                inside = [live.inside for live in app._service.turns._live.values()]
                assert not any(inside), f"requests still have or want their turn: {inside}"
            await self.stop()
        self.check_gate()

    async def stop(self) -> None:
        """What SIGTERM, and then the server, does: drain, and close the connections that are left."""
        await self.app._drain.begin()
        for client in self.clients:
            client.leave()
        if self.connections:
            await asyncio.wait(self.connections, timeout=100)

    def check_gate(self) -> None:
        """No request is under way."""
        inside = self.app._service.gate.inside
        assert inside == 0, f"{inside} requests are counted as being under way"


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the service", one.body())
    await asyncio.wait([body], timeout=10_000)
    await one.calls.have_all_come_back(within=1_000)
