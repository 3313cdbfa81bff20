"""Replies whose class says the type of their output."""

import pickle

from miniagents import Message, decode, encode
from miniagents.ext.llms import ReplyMessage


class Review(Message):
    first: ReplyMessage[int]
    others: tuple[ReplyMessage[int], ...] = ()


def test_a_reply_of_a_type_is_a_field_of_a_message_and_travels() -> None:
    review = Review(first=ReplyMessage("1"), others=(ReplyMessage("2"),))

    assert decode(encode(review)) == review
    assert type(decode(encode(review)).first) is ReplyMessage  # type: ignore[attr-defined]


def test_a_reply_that_is_made_with_its_type_is_an_ordinary_one() -> None:
    reply = ReplyMessage[int]("1")

    assert reply == ReplyMessage("1")
    assert reply.hash_key == ReplyMessage("1").hash_key
    assert pickle.loads(pickle.dumps(reply)) == reply
