"""The REST kit that every contract stands on."""
