"""From blocks to positions, in the words of the document."""
