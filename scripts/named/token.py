"""``python -m scripts.token``: see ``scripts.tokens``."""

from scripts.tokens import main

if __name__ == "__main__":
    raise SystemExit(main())
