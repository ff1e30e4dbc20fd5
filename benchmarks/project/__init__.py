"""The Django project that every server in the comparison runs."""
