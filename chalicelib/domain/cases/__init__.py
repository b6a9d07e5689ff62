"""Cases: what is owed, who holds it, and the total table of how a case may move."""
