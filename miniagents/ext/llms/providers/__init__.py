"""The providers: their APIs behind the one protocol of `miniagents.ext.llms.model`, through the official SDKs."""
