"""As little of Django as a project can have: no apps, no database, one in-memory channel layer."""

import os

SECRET_KEY = "not a secret: this project answers on the loopback for seconds"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "project.urls"
USE_TZ = True
CHANNEL_LAYERS = {
    "default": {"BACKEND": f"{os.environ['BENCH_STACK']}.layers.InMemoryChannelLayer"}
}
