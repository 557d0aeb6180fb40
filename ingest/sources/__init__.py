"""Where postings come from: one source a file, behind one interface."""
