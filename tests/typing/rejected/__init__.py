"""What type checkers refuse: each line with an error says which in a comment `# E: code`."""
