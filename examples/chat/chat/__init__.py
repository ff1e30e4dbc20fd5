"""Rooms, private conversations, and who is there."""
