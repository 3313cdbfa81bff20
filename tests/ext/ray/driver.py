"""A driver of an own cluster, to be killed: it prints the folder, and waits."""

import asyncio

from miniagents.cluster.transport import NodeId
from tests.ext.ray.clusters import driving, echo_launcher


async def main() -> None:
    """Start one node, tell the folder and the process of the node, and wait."""
    launcher = echo_launcher("node-1")
    async with driving(launcher) as driver:
        node = NodeId("node-1", 1)
        await launcher.start(node, b"")
        assert launcher.own is not None
        print(launcher.own.folder, (await driver.facts(node))["pid"], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
