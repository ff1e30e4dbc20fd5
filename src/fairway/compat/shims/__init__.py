"""Packages that ``fairway.compat`` loads under their own top-level names."""
