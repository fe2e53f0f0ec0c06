"""What tests share: a PostgreSQL server, its databases and roles, and projects that use them."""
