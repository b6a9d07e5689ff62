"""Messages and clearances: attempts, approvals, templates."""
