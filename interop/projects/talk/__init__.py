"""A small project with what consumers do with a channel layer; it runs on Fairway and on Channels."""
