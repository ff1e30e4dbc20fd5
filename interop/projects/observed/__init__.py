"""The chat of ``examples/chat``, unchanged, with an observer and another channel layer beside it."""
