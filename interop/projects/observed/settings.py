"""The chat's own settings, the observer, and the channel layer that the run names."""

import json
import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as CHAT_APPS

INSTALLED_APPS = [*CHAT_APPS, "observed.apps.ObservedConfig"]
if "INTEROP_LAYER" in os.environ:
    CHANNEL_LAYERS = {"default": json.loads(os.environ["INTEROP_LAYER"])}
