"""Code without an event loop that has something to say: jobs of task queues, views of WSGI."""
