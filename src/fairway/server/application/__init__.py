"""Running the application: its lifespan, its scopes, its threads, and where it hangs."""
