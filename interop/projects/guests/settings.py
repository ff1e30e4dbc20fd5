"""Settings as a project on Channels has them."""

import os

GUEST = os.environ["INTEROP_GUEST"]
APPS = {
    "rest": ["djangochannelsrestframework", "rest_framework"],
    "eventstream": ["django_eventstream"],
    "reactpy": ["reactpy_django"],
    "chanx": ["chanx.channels", "rest_framework"],
    "tokens": ["channels_auth_token_middlewares", "rest_framework.authtoken"],
    "turbo": ["turbo"],
}

SECRET_KEY = "not a secret: this project answers on the loopback for seconds"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "guests.urls"
ASGI_APPLICATION = f"guests.{GUEST}_guest.application"
INSTALLED_APPS = [
    "daphne",
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    *APPS.get(GUEST, []),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["INTEROP_DATABASE"],
        "OPTIONS": {"timeout": 20},
    }
}
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

EVENTSTREAM_STORAGE_CLASS = "django_eventstream.storage.DjangoModelStorage"
EVENTSTREAM_ALLOW_ORIGINS = ["http://127.0.0.1"]
CHANX = {"CAMELIZE": False}
