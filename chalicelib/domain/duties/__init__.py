"""Duties with clocks: what the law obliges somebody to do by when, as dated data, and how each of them ends."""
