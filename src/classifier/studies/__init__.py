"""Studies of Optuna: trials in a database, which a later process continues."""
