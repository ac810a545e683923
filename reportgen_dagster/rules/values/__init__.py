"""What a value is on a row, in SQL: kinds, numbers, texts, moments, and what can go wrong with them."""
