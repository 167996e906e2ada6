"""The local page: files dropped in a browser are scored one batch after the other, on this machine and for it alone."""
