"""Commands of the project, each run as ``python -m scripts.<name>``."""
