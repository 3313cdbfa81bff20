"""How long a cancel of an MCP client takes to reach the agent: `python -m tests.clients.mcp_cancel`.

It needs `make clients`. The time is from the abort in the client's process to the cancellation in the agent's code, in
another process of the same machine, over loopback or pipes. The clocks are one.
"""

import statistics

from tests.clients.conftest import running_client, running_service
from tests.clients.contract import Contract
from tests.clients.test_mcp_clients import TestNewTypeScript, TestOldTypeScript

ROUNDS = 50


def main() -> None:
    kinds: tuple[type[Contract], ...] = (TestOldTypeScript, TestNewTypeScript)
    with running_service() as service:
        for kind in kinds:
            with running_client(kind, service) as client:
                for api in kind.apis:
                    times = []
                    for number in range(ROUNDS):
                        result = client.run("cancel", api, f"{kind.script} {api} {number}")
                        times.append((float(result["seen"][1]) - result["aborted"]) * 1000)
                    median, worst = statistics.median(times), max(times)
                    print(f"{kind.script} over {api}: {median:.1f} ms in the middle, {worst:.1f} ms at most")


if __name__ == "__main__":
    main()
