"""Messages on their way: references, envelopes, asks, mailboxes, dead letters."""
