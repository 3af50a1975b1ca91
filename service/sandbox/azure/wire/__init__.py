"""Azure's wire: which request means what, in Azure's own words."""
