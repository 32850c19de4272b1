"""The index in PostgreSQL, for stores that several hosts write to; the only room that knows psycopg."""
