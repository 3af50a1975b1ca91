"""AWS behind the port, through boto3."""
