"""What else is noted during a measurement: the server's own metrics, its devices, and who else used the machine."""
