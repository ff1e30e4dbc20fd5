"""As little of Django as a project can have: no apps, no database, one channel layer.

``BENCH_LAYER`` says which one, in memory if it is not set; ``BENCH_PLACE`` where its processes
meet: the port of a Redis server, or a directory. ``BENCH_DATABASE`` is the path of an SQLite file:
with it there are users and sessions. ``BENCH_JOBS`` is how many jobs a worker does: with it there
is ``runworker``.
"""

import os

SECRET_KEY = "not a secret: this project answers on the loopback for seconds"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "project.urls"
USE_TZ = True

INSTALLED_APPS: list[str] = []
if database := os.environ.get("BENCH_DATABASE"):
    INSTALLED_APPS += [f"django.contrib.{name}" for name in ("contenttypes", "auth", "sessions")]
    # Connections that stay, or the figure is that of opening SQLite's.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database,
            "CONN_MAX_AGE": 60,
        }
    }

STACK = os.environ["BENCH_STACK"]
if "BENCH_JOBS" in os.environ:
    INSTALLED_APPS.append(STACK)
    ASGI_APPLICATION = "project.jobs.application"
LAYER = os.environ.get("BENCH_LAYER", "memory")
PLACE = os.environ.get("BENCH_PLACE", "")

BACKENDS = {
    "memory": f"{STACK}.layers.InMemoryChannelLayer",
    "local": "fairway.layers.LocalChannelLayer",
    "redis": "fairway.layers.redis.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}

options: dict[str, object] = {}
if LAYER == "local":
    options["path"] = PLACE
elif LAYER != "memory":
    options["hosts"] = [("127.0.0.1", int(PLACE))]
if LAYER == "core" and "BENCH_JOBS" in os.environ:
    # Its consumers wait for messages to themselves as long as redis-py 8 waits for an answer, five
    # seconds, and end then, with the jobs that were fetched for them.
    options["hosts"] = [{"host": "127.0.0.1", "port": int(PLACE), "socket_timeout": None}]
if LAYER in {"local", "redis", "core"}:
    # No producer of jobs is to be refused one.
    options["channel_capacity"] = {"jobs": 1_000_000}

CHANNEL_LAYERS = {"default": {"BACKEND": BACKENDS[LAYER], "CONFIG": options}}
