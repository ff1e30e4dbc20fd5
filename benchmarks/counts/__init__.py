"""Instruction counts of the hot paths: stable enough to compare two commits on a busy machine."""
