"""Experiments: who gets which strategy by lot, and what the difference is, at any number of looks."""
