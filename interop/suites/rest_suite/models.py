"""The models that the tests expect."""

from django.db import models


class TestModel(models.Model):
    """Something with a name."""

    name = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.name


class TestModelWithCustomPK(models.Model):
    """Something whose name is its key."""

    name = models.CharField(max_length=255, primary_key=True)
    description = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001

    def __str__(self) -> str:
        return self.name
