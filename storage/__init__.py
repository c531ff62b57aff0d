"""PostgreSQL: migrations, named SQL in `queries/*.sql`, one module per noun."""
