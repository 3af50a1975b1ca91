"""Running Tenor: the daemon, one cycle, halt and resume, status, doctor, and the demo."""
