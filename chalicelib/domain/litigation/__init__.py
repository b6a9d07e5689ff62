"""Litigation: until when a claim can be sued for, and the suit itself as a matter beside its case."""
