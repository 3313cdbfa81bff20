"""Who is in, and from when on the lost are replaced."""

from miniagents.cluster import LossCause, NodeId
from miniagents.cluster.authority import Authority, NodeState

DRIVER, A, B = NodeId("driver", 1), NodeId("a", 1), NodeId("b", 1)


def authority() -> Authority:
    with_two = Authority(DRIVER, lease=5.0, margin=1.0, beat=1.0)
    with_two.joined(A, 0.0)
    with_two.joined(B, 0.0)
    return with_two


def answer(nodes: Authority, now: float, *who: NodeId) -> None:
    for node in who:
        nodes.answered(node, now + 100.0, nodes.view(now).number, now)
        nodes.grant(node)


def test_a_node_that_is_silent_for_a_lease_is_reported_once_it_is_and_not_before() -> None:
    nodes = authority()
    for now in range(1, 6):
        answer(nodes, now, A)
        assert nodes.tick(now) == []
    answer(nodes, 6, A)
    assert nodes.tick(6.0) == []
    answer(nodes, 7, A)
    assert nodes.tick(7.0) == [B]


def test_a_driver_that_was_late_itself_accuses_nobody() -> None:
    nodes = authority()
    nodes.tick(0.0)
    assert nodes.tick(60.0) == [], "it stood still for a minute"
    for now in range(61, 65):
        assert nodes.tick(float(now)) == []
    assert nodes.tick(65.1) == [A, B]


def test_nothing_is_placed_anew_before_the_lost_node_is_fenced_and_all_know_the_view() -> None:
    nodes = authority()
    answer(nodes, 1.0, A, B)
    assert nodes.view(1.0).is_settled

    assert nodes.lost(B, LossCause.KILLED, 2.0)

    assert not nodes.view(2.0).is_settled
    answer(nodes, 3.0, A)
    assert not nodes.view(6.9).is_settled, "its lease of 5 s and the margin of 1 s began at 1"
    assert nodes.view(7.0).is_settled
    assert nodes.fenced_at("b") == 7.0


def test_a_fenced_node_is_not_replaced_before_all_others_know() -> None:
    nodes = authority()
    answer(nodes, 1.0, A, B)
    nodes.lost(B, LossCause.KILLED, 2.0)
    assert not nodes.view(100.0).is_settled
    answer(nodes, 101.0, A)
    assert nodes.view(101.0).is_settled


def test_nothing_is_granted_to_a_node_that_is_lost() -> None:
    nodes = authority()
    answer(nodes, 1.0, A, B)
    nodes.answered(B, 104.0, 1, 4.0)
    nodes.lost(B, LossCause.SILENT, 5.0)
    fenced_at = nodes.fenced_at("b")
    assert nodes.grant(B) is None
    assert nodes.fenced_at("b") == fenced_at == 7.0, "the answer at 4 was not made a grant of"


def test_a_loss_is_reported_once_and_late_answers_of_the_lost_count_for_nothing() -> None:
    nodes = authority()
    assert nodes.lost(B, LossCause.KILLED, 2.0)
    assert not nodes.lost(B, LossCause.SILENT, 3.0)
    assert nodes.answered(B, 103.0, 1, 3.0) is None
    assert nodes.view(3.0).lost == (("b", 1, "killed"),)
    nodes.joined(NodeId("b", 2), 9.0)
    assert nodes.answered(B, 110.0, 1, 10.0) is None


def test_a_node_that_is_certainly_gone_needs_no_fence_and_a_later_life_is_not_meant() -> None:
    nodes = authority()
    nodes.lost(B, LossCause.KILLED, 2.0)
    nodes.gone(NodeId("b", 7), 2.5)
    assert nodes.fenced_at("b") > 2.5
    nodes.gone(B, 2.5)
    assert nodes.fenced_at("b") == 2.5
    nodes.gone(B, 9.0)
    assert nodes.fenced_at("b") == 2.5
    answer(nodes, 3.0, A)
    assert nodes.view(3.0).is_settled


def test_a_node_that_leaves_stays_in_until_it_has_gone_and_needs_no_fence() -> None:
    nodes = authority()
    nodes.leaves(B)
    nodes.leaves(B)
    view = nodes.view(1.0)
    assert (view.number, view.leaving) == (4, ("b",))
    assert B in view.alive
    member = nodes.member(B)
    assert member is not None
    assert member.standing is NodeState.LEAVING
    nodes.lost(B, LossCause.DRAINED, 2.0)
    answer(nodes, 2.0, A)
    assert nodes.view(2.0).is_settled
