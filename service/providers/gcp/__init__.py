"""Google Cloud behind the port, through Google's SDKs over REST."""
