"""How the tables came to be; `manage.py makemigrations` adds to it."""
