"""Pages for people: one self-contained HTML file each, without script, link or anything fetched."""
