"""`RayCluster(address=...)`: nodes on a Ray cluster that others have started."""

import asyncio

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

import ray

from miniagents import MiniAgents, Placement, SpawnOptions
from miniagents.ext.ray import RayCluster
from miniagents.ext.ray.own import OwnRay
from tests.ext.ray.workers import Where, Worker

pytestmark = [pytest.mark.real_time, pytest.mark.slow, pytest.mark.timeout(120)]


async def test_nodes_live_where_the_resource_is_and_leave_the_cluster_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    existing = OwnRay()
    try:
        await existing.open({"one": {"miniagents": 2}})
        for name, value in existing.environment.items():
            monkeypatch.setenv(name, value)
        nodes = RayCluster(address=existing.address, resource="miniagents", modules=["tests.ext.ray.workers"])
        async with MiniAgents(cluster=nodes) as system:
            spread = SpawnOptions(placement=Placement.SPREAD)
            workers = [system.spawn(Worker, options=spread) for _ in range(2)]
            places = [await worker.ask(Where(), timeout=20) for worker in workers]
            names = [node.name for node in system.nodes()]

        assert sorted(names) == ["driver", "node-1", "node-2"]
        assert {place.node for place in places} == {"node-1", "node-2"}
        assert not ray.is_initialized()
        async with MiniAgents(cluster=RayCluster(nodes=1, address=existing.address, resource="miniagents")) as system:
            assert len(system.nodes()) == 2
        with pytest.raises(ConnectionError, match=r"no machine of the Ray cluster at .* offers .gpu"):
            async with MiniAgents(cluster=RayCluster(address=existing.address, resource="gpu")):
                await asyncio.sleep(0)
    finally:
        await existing.close()
