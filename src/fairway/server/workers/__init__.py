"""Several processes that serve together, and the one that keeps them running."""
