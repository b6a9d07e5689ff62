"""Behaviour: what repayment and contact show of a borrower, as named features, and the scores that are made of them."""
