"""A project that was written for Channels, with the alias and a database in a file."""

from pathlib import Path

from tests.management.commands.project import Project


def with_alias(directory: Path, tests: str) -> Project:
    """A project that was written for Channels, whose page counts what the tests have made."""
    project = Project(directory)
    project.write(
        "settings.py",
        project.read("settings.py")
        .replace('"NAME": "db.sqlite3"', '"NAME": "db.sqlite3", "TEST": {"NAME": "test.sqlite3"}')
        .replace(
            'SECRET_KEY = "', 'import fairway.compat; fairway.compat.install()\nSECRET_KEY = "'
        ),
    )
    project.write(
        "manage.py",
        """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        from django.core.management import execute_from_command_line
        if __name__ == "__main__":  # a process that is no fork imports this file
            execute_from_command_line(sys.argv)
        """,
    )
    project.write(
        "urls.py",
        """
        from django.contrib.contenttypes.models import ContentType
        from django.http import HttpResponse
        from django.urls import path

        def count(request):
            return HttpResponse(ContentType.objects.filter(app_label="one").count())

        urlpatterns = [path("", count)]
        """,
    )
    project.write("tests.py", tests)
    return project
