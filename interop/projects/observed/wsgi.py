"""The chat's pages over WSGI, for a server that knows nothing of sockets."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
