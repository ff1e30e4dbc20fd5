"""Checks that keep foreign pages out."""
