"""The management commands of Fairway."""
