"""Seeded mutation of media, tables and this product's own files, and what must hold whatever comes of it."""
