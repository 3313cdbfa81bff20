import pytest

from miniagents.errors import InvalidOptionError
from miniagents.ext.observer.texts import Texts, redacted


def test_facts_show_no_text_whatever_redact_says() -> None:
    assert Texts("facts", lambda text: text).of("hello") is None


def test_redact_is_called_with_each_text_at_every_level() -> None:
    assert Texts("full", str.upper).of("hello") == "HELLO"
    assert Texts("redacted", str.upper).of("hello sk-abcdefgh1234") == "HELLO SK-ABCDEFGH1234"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijkl",
        "Bearer abc.def.ghi-123",
        "ghp_abcdefghijklmnop",
        "ada@example.com",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    ],
)
def test_what_looks_like_a_secret_is_hidden_at_the_level_redacted(secret: str) -> None:
    assert redacted(f"it is {secret}, you know") == "it is [redacted], you know"
    assert Texts("redacted").of(secret) == "[redacted]"
    assert Texts("full").of(secret) == secret


def test_a_redact_that_fails_hides_the_text_and_is_logged_once(log: list[dict[str, object]]) -> None:
    def redact(text: str) -> str:
        raise ValueError(text)

    texts = Texts("full", redact)

    assert [texts.of("a secret"), texts.of("another one")] == [None, None]
    (entry,) = log
    assert (entry["event"], entry["error"]) == ("observer.redact_failed", "ValueError")
    assert "a secret" not in str(entry["error"])


def test_a_redact_that_returns_no_text_hides_it() -> None:
    assert Texts("full", lambda text: None).of("a secret") is None  # type: ignore[arg-type, return-value]


def test_a_page_may_ask_for_less_than_it_may_see() -> None:
    assert Texts("full", str.upper).lowered("facts").of("hello") is None
    assert Texts("full", str.upper).lowered("redacted").of("hello") == "HELLO"


def test_wrong_options_are_mistakes() -> None:
    with pytest.raises(InvalidOptionError, match='"facts", "redacted" or "full"'):
        Texts("all")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="a function from text to text"):
        Texts("full", "x")  # type: ignore[arg-type]
