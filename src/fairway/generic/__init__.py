"""What a Django developer subclasses: consumers for WebSockets and for HTTP."""
