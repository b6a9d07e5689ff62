"""Programs whose name is also one of the standard library's: here no program that is started by its path finds them instead."""
