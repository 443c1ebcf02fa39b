"""One file per command, named as it is typed; each is loaded when it is called."""
