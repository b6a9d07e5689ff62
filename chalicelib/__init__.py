"""Forbear: nothing reaches a borrower unless the law of that place, at that second, allows it, provably."""
