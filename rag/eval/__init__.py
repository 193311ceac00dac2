"""How good search and answers are, measured on questions with known answers."""
