"""Google's REST interfaces, as far as the sandbox answers them."""
