"""The index as one SQLite file in the store's folder; the only room that knows SQLite."""
