"""Commands of the app ``daphne``."""
