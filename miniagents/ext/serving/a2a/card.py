"""The card of an agent: what it does, where it is, and how it is called."""

from importlib.metadata import version

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import PROTOCOL_VERSION_CURRENT, TransportProtocol

from miniagents.ext.serving.served_agent import Entry

_PACKAGE = "miniagents"
_INPUT = ("text/plain", "application/json", "image/*", "application/*")
_OUTPUT = ("text/plain", "application/json")
_BEARER = "bearer"


def card_of(entry: Entry, url: str, *, needs_token: bool) -> AgentCard:
    """Return the card of an agent.

    Args:
        entry: The agent.
        url: The address of its endpoint.
        needs_token: Whether callers need a token.
    """
    description = entry.description or entry.name
    sound = ("audio/*",) if "audio" in entry.wants else ()
    card = AgentCard(
        name=entry.name,
        description=description,
        version=version(_PACKAGE),
        supported_interfaces=[
            AgentInterface(
                url=url, protocol_binding=TransportProtocol.JSONRPC, protocol_version=PROTOCOL_VERSION_CURRENT
            )
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=[*_INPUT, *sound],
        default_output_modes=_OUTPUT,
        skills=[AgentSkill(id=entry.name, name=entry.name, description=description, tags=[_PACKAGE])],
    )
    if needs_token:
        scheme = SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme=_BEARER))
        card.security_schemes[_BEARER].CopyFrom(scheme)
        card.security_requirements.append(SecurityRequirement(schemes={_BEARER: StringList()}))
    return card
