"""Walk-forward evaluation of the decisions, ours and the peers', on demand that really was."""
