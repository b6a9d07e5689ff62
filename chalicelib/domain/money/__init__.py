"""Money between borrower, lender and agency: double entry, arrangements, commission, statements, reconciliation."""
