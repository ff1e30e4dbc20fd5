"""What the contenders are called, in tables and in results."""

#: The bare loop is no peer but the limit; its name is needed where ratios are taken.
BARE = "bare C"
FAIRWAY = "Fairway"
#: Channels on the servers that its users have.
CHANNELS = "Channels on uvicorn"
CHANNELS_DAPHNE = "Channels on Daphne"
CHANNELS_GRANIAN = "Channels on Granian"
CHANNELS_HYPERCORN = "Channels on Hypercorn"
#: Other servers.
UVICORN, GRANIAN, HYPERCORN, DAPHNE = "uvicorn", "Granian", "Hypercorn", "Daphne"
GUNICORN, GUNICORN_SYNC, GRANIAN_WSGI = "Gunicorn gthread", "Gunicorn sync", "Granian WSGI"
#: Servers of WebSockets and nothing else, each with the shortest application that does the work.
WEBSOCKETS, PICOWS, WS, UWEBSOCKETS = "websockets", "picows", "Node ws", "uWebSockets"
#: The same with a protocol of their own on top, which browsers need a library for.
SOCKETIO_NODE, SOCKETIO_PYTHON = "Socket.IO for Node", "Socket.IO for Python"
#: Fairway and Channels with the channel layers that connect processes.
REDIS, LOCAL = "Fairway, Redis", "Fairway, local"
PUBSUB, CORE = "channels_redis pub/sub", "channels_redis core"
