"""What is measured of upgrades, queues and jobs, and how it is read from outside."""
