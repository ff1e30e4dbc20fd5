"""The name under which the tests import their models."""

from rest_suite.models import TestModel, TestModelWithCustomPK

__all__ = ["TestModel", "TestModelWithCustomPK"]
