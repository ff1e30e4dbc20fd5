"""Settings from the environment: the stack, the channel layer, a database where one needs it."""

import json
import os

SECRET_KEY = "not a secret: this project answers on the loopback for seconds"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "talk.urls"
ASGI_APPLICATION = "talk.asgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": json.loads(os.environ["INTEROP_LAYER"])}
DATABASES = json.loads(os.environ.get("INTEROP_DATABASES", "{}"))
INSTALLED_APPS = [os.environ["INTEROP_STACK"], *json.loads(os.environ.get("INTEROP_APPS", "[]"))]
