"""The page for job seekers: its addresses, and what its templates are shown (`serve/web/`)."""
