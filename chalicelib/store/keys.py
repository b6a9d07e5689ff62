"""Re-exported for the store's own modules; the keys are plain text and live in ``chalicelib.domain.keys``."""

from chalicelib.domain.keys import *  # noqa: F403
