"""The sandbox's Azure: a seeded tenant that answers the Azure SDKs on loopback."""
