"""What type checkers accept; `make types` checks these modules like all others."""
