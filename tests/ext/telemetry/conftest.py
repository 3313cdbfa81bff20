"""What these tests share."""

import pytest

from tests.ext.telemetry.seen import Seen


@pytest.fixture
def seen() -> Seen:
    """An OpenTelemetry of one's own."""
    return Seen()
