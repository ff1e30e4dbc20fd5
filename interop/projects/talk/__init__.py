"""What consumers do with a channel layer, in a small project for Fairway and for Channels."""
