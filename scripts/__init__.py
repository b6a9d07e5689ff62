"""Commands of the project, each run as ``python -m scripts.<name>``."""

from pathlib import Path

# A file ``token.py`` beside the others would be taken for the library's ``token`` by each that is started by its path.
__path__.append(str(Path(__file__).parent / "named"))
