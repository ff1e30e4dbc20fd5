"""Applications that send back what they get, for suites that look at the protocol."""
