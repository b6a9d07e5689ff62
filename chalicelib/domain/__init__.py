"""Pure rules and values: no clock, no environment, no logging, no network."""
