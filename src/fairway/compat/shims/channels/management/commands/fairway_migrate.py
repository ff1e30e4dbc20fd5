"""Only for Django to list: ``fairway.compat`` loads Fairway's own command of this name."""
