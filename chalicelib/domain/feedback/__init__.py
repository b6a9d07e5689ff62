"""Feedback: what customers, agencies, lenders and collectors say about the work, answered within 48 hours."""
