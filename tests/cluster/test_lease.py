"""Leases: a node has stopped before it is replaced, however the two clocks and the network behave."""

from hypothesis import given
from hypothesis import strategies as st

from miniagents.cluster.lease import Grants, Lease


@given(
    offset=st.floats(-1e6, 1e6),
    exchanges=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.booleans(), st.booleans()), max_size=12),
)
def test_a_node_is_fenced_before_it_may_be_replaced(
    offset: float, exchanges: list[tuple[float, float, bool, bool]]
) -> None:
    """Real time runs on; the clock of the node is real time and an offset. Requests and answers take any time or get
    lost. After the last exchange nothing is granted any more."""
    lease, margin, now = 5.0, 1.0, 0.0
    node = Lease(until=now + offset + lease)
    grants = Grants(lease, margin, now)
    late_grants = list[float]()

    for there, back, request_arrives, answer_arrives in exchanges:
        until = grants.grant()
        now += there
        if request_arrives:
            if until is not None:
                node.extend(until, now + offset)
            clock = now + offset
            now += back
            if answer_arrives:
                grants.heard(clock, now)
        elif until is not None:
            late_grants.append(until)
    for until in late_grants:  # what was thought lost arrives at the worst moment
        node.extend(until, now + offset)

    assert node.has_lapsed(max(now, grants.fenced_at) + offset)


def test_a_lease_goes_on_as_long_as_it_is_granted_in_time() -> None:
    node, grants = Lease(until=105.0), Grants(5.0, 1.0, now=0.0)
    for now in range(1, 100):
        until = grants.grant()
        if until is not None:
            node.extend(until, 100.0 + now)
        grants.heard(100.0 + now, now)
        assert not node.has_lapsed(100.0 + now)
    assert node.left(199.0) == 4.0
    assert node.has_lapsed(203.0)
    assert node.left(204.0) == 0.0


def test_an_older_grant_that_comes_late_takes_nothing_back() -> None:
    lease = Lease(until=5.0)
    lease.extend(9.0, now=1.0)
    lease.extend(7.0, now=2.0)
    assert not lease.has_lapsed(8.9)
