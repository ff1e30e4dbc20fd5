"""Proves on the real packages that Fairway works with them: ``make interop``."""
