"""What is fuzzed, and what must hold: a module for each parser, for tests and for long runs."""
