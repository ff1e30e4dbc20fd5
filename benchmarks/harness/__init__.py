"""The parts of ``run.py``: environments, servers, load generator, scenarios, report."""
