"""From a file to blocks: one parser a file, behind one interface."""
