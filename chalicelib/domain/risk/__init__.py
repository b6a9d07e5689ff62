"""Legal risk: the lines that nobody may cross, and what is done when somebody did."""
