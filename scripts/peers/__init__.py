"""The engine beside its peers: one case of 26 rules, said in each engine's own language, on the same dossiers."""
