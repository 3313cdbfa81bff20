"""What clients see that call the same supervisors at once is what they can see on Erlang/OTP.

OTP has many orders in which things can happen, and so have we. Each scenario is played on ours in some of them, and for
each outcome witness.escript looks for a play of the real supervisor that shows the same. "Missing after all plays" is a
proof that OTP has none; "missing in so many" is not: the search gave up, and the play that it shows came nearest.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.supervision.otp.at_once import BadEnd, ClientsPlayer, Outcome, term
from tests.supervision.otp.clients import ClientGenerator, ClientScenario
from tests.supervision.otp.scenario import Sup, Worker, erlang

COUNT = int(os.environ.get("OTP_CLIENT_SCENARIOS", "800"))
FIRST = int(os.environ.get("OTP_FIRST_SEED", "1"))
ORDERS = int(os.environ.get("OTP_ORDERS", "8"))
ONCE_DIFFERENT = (187, 727, 923, 1044, 1361, 1838, 1842, 2031, 2050, 2134, 2382, 2403)
WITNESS = Path(__file__).with_name("witness.escript")

needs_otp = pytest.mark.skipif(
    shutil.which("escript") is None, reason="Erlang's escript (Debian's erlang-base) is missing"
)


def witnesses(scenarios: list[tuple[ClientScenario, dict[Outcome, list[str]]]]) -> list[str]:
    """For each outcome of each scenario, what the search on OTP says."""
    lines = "".join(f"{term(scenario, outcomes)}\n" for scenario, outcomes in scenarios)
    done = subprocess.run(
        ["escript", str(WITNESS)], input=lines, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout[-1000:]
    return [line.split(maxsplit=2)[2] for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@needs_otp
def test_what_clients_see_that_call_at_once_can_be_seen_on_otp() -> None:
    played: list[tuple[ClientScenario, dict[Outcome, list[str]]]] = []
    faults: list[str] = []
    for seed in sorted({*range(FIRST, FIRST + COUNT), *ONCE_DIFFERENT}):
        scenario = ClientGenerator(seed).scenario()
        outcomes: dict[Outcome, list[str]] = {}
        for order in range(ORDERS):
            player = ClientsPlayer(scenario, order)
            try:
                outcomes.setdefault(player.outcome(), player.log)
            except BadEnd as error:
                faults.append(f"{described(scenario)}\n  order {order}: {error}")
        played.append((scenario, outcomes))

    found = witnesses(played)

    shown = [(scenario, outcome) for scenario, outcomes in played for outcome in outcomes]
    assert len(found) == len(shown)
    faults += [
        f"{described(scenario)}\n  ours: {outcome}\n  OTP:  {otp}"
        for (scenario, outcome), otp in zip(shown, found, strict=True)
        if not otp.startswith("found")
    ]
    assert not faults, f"{len(faults)} of {len(shown)} outcomes:\n" + "\n".join(faults[:5])


def described(scenario: ClientScenario) -> str:
    return f"seed {scenario.seed}: {erlang(scenario.top)}\n  clients: {scenario.clients}"


@needs_otp
def test_an_outcome_that_otp_cannot_have_is_not_found() -> None:
    top = Sup(
        "s1", "one_for_all", 1, "never", (Worker("w1", "permanent", False, ()), Worker("w2", "transient", False, ()))
    )
    scenario = ClientScenario(0, top, ((("do", "w1", "crash"), ("which", "s1")), (("restart", "s1", "w2"),)))
    restart = ("stop:w1:crash", "stop:w2:shutdown", "init:w1", "start:w1", "init:w2", "start:w2")
    up, both = "(w2=up,w1=up)", "=(w2=up,w1=up)"
    right = Outcome(restart, ((up,), ("running",)), both)
    wrong = [
        Outcome((), ((up,), ("running",)), both),  # nobody is restarted
        Outcome((*restart, *restart[2:]), ((up,), ("running",)), both),  # twice
        Outcome((*restart[:2], *restart[4:], *restart[2:4]), ((up,), ("running",)), both),  # in the other order
        Outcome(restart, (("(w2=undefined,w1=up)",), ("running",)), both),  # a sibling is seen to be missing
        Outcome(restart, ((up,), ("ok",)), both),  # it is started while it runs
        Outcome(restart, ((up,), ("running",)), "=(w2=undefined,w1=up)"),  # it is lost
    ]

    said = witnesses([(scenario, {outcome: [] for outcome in (right, *wrong)})])

    assert [line.split(" ")[0] for line in said] == ["found"] + ["missing"] * len(wrong)
    assert all("missing after all" in line for line in said[1:])
