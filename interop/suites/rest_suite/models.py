"""The models that the tests expect."""

from typing import Any

from django.db import models


class TestModel(models.Model):
    """Something with a name."""

    name: Any = models.CharField(max_length=255)

    def __str__(self) -> str:
        return str(self.name)


class TestModelWithCustomPK(models.Model):
    """Something whose name is its key."""

    name: Any = models.CharField(max_length=255, primary_key=True)
    description: Any = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001

    def __str__(self) -> str:
        return str(self.name)
