"""How fast exports are beside their peers and beside the database's own copy: `make bench`."""
