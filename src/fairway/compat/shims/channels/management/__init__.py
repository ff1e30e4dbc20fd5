"""Commands of the app ``channels``."""
