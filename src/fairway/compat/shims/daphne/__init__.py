"""The root of ``daphne``, as ``fairway.compat`` loads it."""

#: The release of Daphne whose behaviour Fairway has; packages compare it.
__version__ = "4.2.3"
