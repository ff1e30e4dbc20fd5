"""Type tests: what a project may write about our public names, and what it may not."""
