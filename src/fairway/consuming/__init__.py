"""What a consumer does that nobody overrides: its loop, its handlers, its threads, its end.

:class:`fairway.consumer.AsyncConsumer` is what people subclass. Below it, :mod:`.parallel` handles
several events at once in :mod:`.lanes`, :mod:`.serving` one after the other; :mod:`.grace`
interrupts what hangs; :mod:`.handlers` knows which method handles what.
"""
