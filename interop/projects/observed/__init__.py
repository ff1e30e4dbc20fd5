"""The chat of ``examples/chat``, unchanged, with an observer beside it."""
