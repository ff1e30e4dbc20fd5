"""Settings of the chat whose Redis is to be found through a Sentinel."""

import os

from config.settings import *  # noqa: F403  the example's own, all but one

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "fairway.layers.redis.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "sentinels": [("127.0.0.1", int(os.environ["CHAT_SENTINEL"]))],
                    "master_name": "main",
                }
            ]
        },
    }
}
