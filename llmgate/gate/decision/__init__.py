"""What a decision is: frozen types, their words and their form in files. Decides nothing."""
