"""What-if: the rulings of a past period under rules, or a strategy, that are only supposed. Nothing here decides anything."""
