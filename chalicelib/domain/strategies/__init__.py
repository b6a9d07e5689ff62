"""Strategies: which steps a case gets, when, by which channel, and the plan that follows from one for a single case."""
