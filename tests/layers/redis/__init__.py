"""Tests of the layer over Redis, against real servers."""
