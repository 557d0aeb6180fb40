"""From the text of a résumé to a profile."""
