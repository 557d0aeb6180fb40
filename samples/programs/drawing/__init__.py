"""Job posters drawn from the sample postings, with the truth about every line and table on them."""
