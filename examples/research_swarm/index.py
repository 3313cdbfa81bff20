"""The full-text index of passages: BM25, from the library bm25s."""

import re
from typing import Any

from examples.research_swarm.documents import Passage

_STOPWORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "me",
        "more",
        "most",
        "my",
        "no",
        "not",
        "of",
        "on",
        "one",
        "or",
        "our",
        "out",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def words_of(text: str) -> list[str]:
    """Return the words of a text without stop words, in lower case, without a plural s."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return [word.rstrip("s") if len(word) > 3 else word for word in words if word not in _STOPWORDS]


class Index:
    """A full-text index.

    Args:
        passages: The passages, at least one.
    """

    def __init__(self, passages: list[Passage]) -> None:
        import bm25s

        self.passages = passages
        self._engine: Any = bm25s.BM25()
        # The engine refuses a passage without tokens, so a passage of stop words gets one.
        self._engine.index([words_of(passage.text) or ["-"] for passage in passages], show_progress=False)

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """Return the best passages for a query.

        Args:
            query: The words.
            k: The most passages, 1 or more.

        Returns:
            The numbers of passages with their scores, best first. Passages without any of the words are left out.
        """
        words = [word for word in words_of(query) if word in self._engine.vocab_dict]
        if not words:
            return []
        scores = self._engine.get_scores(words)
        best = sorted(range(len(scores)), key=lambda n: (-float(scores[n]), n))[:k]
        return [(n, float(scores[n])) for n in best if scores[n] > 0]
