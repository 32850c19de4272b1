"""What every index of tables shares, whatever the database: rows, reading, one run's writing; no statement of SQL."""
