"""The database floor: connections, transactions, guards, and what drivers' errors mean."""
