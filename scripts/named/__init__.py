"""Programs whose name is one of the standard library's too: no program that is started by its path finds them here."""
