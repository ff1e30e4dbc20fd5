"""Settings of the chat: ready for development, and for production through the environment.

==================== ======================================================= ===================
variable             meaning                                                 default
==================== ======================================================= ===================
CHAT_DEBUG           "1": development, with demo users and static files      "1"
CHAT_SECRET_KEY      signs sessions; required when CHAT_DEBUG is "0"         a known one
CHAT_ALLOWED_HOSTS   comma-separated host names that the site answers to     this machine only
CHAT_DATABASE        path of the SQLite file                                 db.sqlite3 here
CHAT_REDIS           URL of a Redis, for several machines                    none: one machine
==================== ======================================================= ===================
"""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("CHAT_DEBUG", "1") == "1"
# A KeyError here means: set CHAT_SECRET_KEY. A public default must never sign anyone's session.
SECRET_KEY = "known-to-all-so-for-development-only" if DEBUG else os.environ["CHAT_SECRET_KEY"]
# WebSockets are refused from pages of any other host; see config/asgi.py.
ALLOWED_HOSTS = [host for host in os.environ.get("CHAT_ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "fairway",  # first, so that `manage.py runserver` serves WebSockets too
    "chat",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
# All processes of a machine hear each other without a setting; many machines share a Redis.
if "CHAT_REDIS" in os.environ:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "fairway.layers.redis.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["CHAT_REDIS"]]},
        }
    }

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CHAT_DATABASE", BASE_DIR / "db.sqlite3"),
        # Readers do not wait for the writer, and writers queue instead of failing with "locked".
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Over plain HTTP a browser would never send these cookies back, so only production asks for TLS.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG

TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"  # `manage.py collectstatic` puts it there for your web server
