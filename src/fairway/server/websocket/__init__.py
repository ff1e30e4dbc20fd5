"""WebSockets: opening, messages, time and closing."""
