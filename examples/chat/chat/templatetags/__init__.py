"""What the templates can use beside Django's own tags."""
