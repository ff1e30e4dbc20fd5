"""What templates may ``{% load %}``."""
