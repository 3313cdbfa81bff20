"""The providers: their APIs behind the one protocol of `miniagents.ext.llms.provider`, through the official SDKs."""
