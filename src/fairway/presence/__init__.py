"""Presence: who is here, in any group, across processes and machines."""
