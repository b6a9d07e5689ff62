"""Training of collectors: courses and exams, sessions with evidence of attendance, certificates."""
