"""As little of a Django project as consumers need."""

SECRET_KEY = "not a secret: this project answers on the loopback for minutes"
ALLOWED_HOSTS = ["127.0.0.1"]
ASGI_APPLICATION = "echoes.asgi.application"
INSTALLED_APPS = ["fairway"]
