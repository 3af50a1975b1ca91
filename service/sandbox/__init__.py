"""Local clouds on loopback: one seeded, faulty world with a virtual clock."""
