"""Django lists the files here; importing one gives the command of Fairway."""
