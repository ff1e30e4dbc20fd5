"""Only for Django to list: ``fairway.compat`` loads ``fairway.management.commands.runworker``."""
