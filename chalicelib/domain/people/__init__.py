"""Persons, their contact points, and the ledger of every contact, consent and hold."""
